"""The files of one project: feature list, orchestrate.toml, the user's own settings, and the repository they speak of.

Invariant: a file that cannot be read or is not sound leaves its problems in the list that was handed in, and what is
sound in it is used all the same, so that everything wrong is found in one go.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrate.errors import InputRefused, Problem

from .finding import SETTINGS_NAME, base_of, repository_of, shown, upwards, user_config_path
from .layers import Layer, given_twice, layer_of_document, sound_part
from .sources import Document, load_document
from .words import quoted

if TYPE_CHECKING:
    from pydantic import BaseModel


@dataclass(frozen=True, slots=True)
class Files:
    """base: the directory that holds `config/`; root: that, or where repo_path leads; top: the root of git's repository.

    A file that is not there, or not readable: None.
    """

    base: Path
    root: Path
    top: Path
    listed: Document | None
    own: Document | None
    user: Document | None
    notices: tuple[str, ...] = ()

    @property
    def folders(self) -> tuple[Path, ...]:
        """Where files that the configuration names are looked for, first one first."""
        return tuple(dict.fromkeys((self.base, self.root, self.top)))

    def layers(self) -> tuple[Layer, ...]:
        """The sound settings of all files, the weakest first."""
        layers: list[Layer] = []
        if self.user is not None:
            layers.append(layer_of_document(self.user))
        for document in (self.listed, self.own):
            if document is not None:
                layers += [layer_of_document(document), layer_of_document(document, ("project",))]
        return tuple(sound_part(layer) for layer in layers)

    def about(self, key: str) -> str:
        """What the files say of the project: `name` or `description`; orchestrate.toml wins."""
        for document in (self.own, self.listed):
            if document is not None and (text := _project(document).get(key)):
                return str(text)
        return ""


def load_files(config: Path | None, start: Path, environ: Mapping[str, str], problems: list[Problem]) -> Files:
    """Read and check all files; settings only, features are for later. config: None where there is no feature list."""
    from .models import Common, FeatureListFile, SettingsFile

    if config is not None:
        base = base_of(config)
    else:
        base = next((folder for folder in upwards(start) if (folder / SETTINGS_NAME).is_file()), start)
    listed = _load(config, start, problems) if config is not None else None
    own = _load(base / SETTINGS_NAME, start, problems, may_miss=True)
    notices: list[str] = []
    root = _root(base, own, listed, problems, notices)
    top = repository_of(root) or root
    elsewhere = next((folder for folder in (root, top) if own is None and (folder / SETTINGS_NAME).is_file()), None)
    if elsewhere is not None and elsewhere != base:
        own = _load(elsewhere / SETTINGS_NAME, start, problems)
        if own is not None and _repo_path(own):
            place = ("project", "repo_path")
            problems.append(
                own.problem(
                    place, "a repo_path beside the repository is not followed", "write it in the feature list", key=True
                )
            )
    user = _load(user_config_path(environ), start, problems, may_miss=True)
    for document, model, named in (
        (user, Common, Common),
        (listed, SettingsFile, FeatureListFile),
        (own, SettingsFile, SettingsFile),
    ):
        if document is not None:
            problems += _settings_mistakes(document, model, named)
    return Files(base, root, top, listed, own, user, tuple(notices))


def _load(path: Path, start: Path, problems: list[Problem], *, may_miss: bool = False) -> Document | None:
    if may_miss and not path.exists():
        return None
    try:
        return load_document(path, shown(path, start))
    except InputRefused as refused:
        problems += refused.problems
        return None


def _settings_mistakes(document: Document, model: type[BaseModel], named: type[BaseModel]) -> tuple[Problem, ...]:
    """What is wrong besides the features. named: the model that knows all keys of the file."""
    from pydantic import ValidationError

    from .mistakes import mistakes

    try:
        model.model_validate(
            {key: value for key, value in document.data.items() if named is model or key != "features"}
        )
    except ValidationError as error:
        return mistakes(error, named, document.locate)
    return given_twice(document)


def _project(document: Document) -> Mapping[str, Any]:
    project = document.data.get("project")
    return project if isinstance(project, dict) else {}


def _repo_path(document: Document) -> str:
    written = _project(document).get("repo_path")
    return written if isinstance(written, str) else ""


def _root(
    base: Path, own: Document | None, listed: Document | None, problems: list[Problem], notices: list[str]
) -> Path:
    """`repo_path`, resolved against the directory that holds `config/`; that directory itself if there is none."""
    document = next((found for found in (own, listed) if found is not None and _repo_path(found)), None)
    if document is None:
        return base
    written, place = _repo_path(document), ("project", "repo_path")
    try:
        root = (base / Path(written).expanduser()).resolve()
        is_there = root.is_dir()
    except (OSError, RuntimeError, ValueError):  # too long, a loop of links, no home directory
        root, is_there = base, False
    if not is_there:
        hint = "write it relative to the directory that holds config/"
        problems.append(
            document.problem(place, f"repo_path {quoted(written)} is no directory (seen from {base})", hint)
        )
        return base
    if repository_of(base) and not repository_of(root):
        message = f"repo_path {quoted(written)} is {root}, which is in no git repository"
        hint = 'write "."; it is relative to the directory that holds config/, not to config/ itself'
        problems.append(document.problem(place, message, hint))
    else:
        notices.append(f"repo_path {quoted(written)} is {root} (seen from {base})")
    return root
