"""Everything the user wrote → Loaded: the one entry for commands that need the feature list or the settings.

Invariant: all problems of all files, variables and flags come in one InputRefused; nothing is created or changed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from orchestrate.core.plan import Feature
from orchestrate.errors import InputRefused, OrchestrateError, Problem

from .assembly import assemble, settings_problems
from .features import build_features, entries_of
from .files import Files, load_files
from .finding import LIST_NAMES, base_of, explicit_config, find_config, lists_in, shown
from .frozen import digest_of, features_digest
from .layers import DEFAULT, Origin, layer_of_environment, layer_of_flags, merge, sound_part
from .settings import Scripted, Settings
from .sources import MAX_BYTES
from .texts import TextRefused, load_any_text, load_text
from .words import quoted

__all__ = ["Loaded", "find_config", "load_project", "load_settings"]

NOT_INPUT = (
    "max_parallel", "worktrees_dir", "ports", "limits", "retry_backoff_seconds", "containment", "checkpoints", "disk",
)  # fmt: skip
"""Settings that say how fast and how dearly, not what: a run may go on with others."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A project, ready to be planned.

    root: the repository (or a directory in it), absolute. features: in the order of the file. context: text that every
    agent is told. origins: by setting, as in `limits.max_cost_usd` and `env.PORT`. notices: what a person should know.
    inputs_digest: of everything a plan is made of; settings_digest: of that without the features; prompt_digests: by
    feature, SHA-256 of the prompt.
    """

    root: Path
    config_path: Path
    settings: Settings
    features: tuple[Feature, ...]
    context: str
    rules: tuple[str, ...]
    project_name: str
    project_description: str
    notices: tuple[str, ...]
    origins: Mapping[str, Origin]
    inputs_digest: str
    settings_digest: str
    prompt_digests: Mapping[str, str]


def load_project(
    *, start: Path, config: Path | None = None, environ: Mapping[str, str], flags: Mapping[str, object]
) -> Loaded:
    """Read and check everything. flags: by setting (`limits.max_cost_usd`), None for not given.

    Raises InputRefused with all problems, OrchestrateError if there is no feature list at all.
    """
    start = start.resolve()
    path = find_config(start, explicit_config(config, environ))
    problems: list[Problem] = []
    files = load_files(path, start, environ, problems)
    settings, origins = _settings(files, environ, flags, problems)
    context = _context(settings, origins, files.folders, problems)
    entries = entries_of(files.listed, problems) if files.listed is not None else []
    features: tuple[Feature, ...] = ()
    notices: tuple[str, ...] = ()
    if files.listed is not None:
        features, found, notices = build_features(entries, settings, files.listed, files.folders)
        problems += found
    problems += _agent_problems(settings, origins, features)
    _refuse_if_any(problems)
    settings_digest = _settings_digest(settings, context, files.folders)
    return Loaded(
        root=files.root,
        config_path=path,
        settings=settings,
        features=features,
        context=context,
        rules=settings.prompts.quality_rules,
        project_name=files.about("name") or files.root.name,
        project_description=files.about("description"),
        notices=(*files.notices, *_other_lists(path, start), *notices),
        origins=origins,
        inputs_digest=digest_of([features_digest(features), settings_digest]),
        settings_digest=settings_digest,
        prompt_digests={feature.id: sha256(feature.prompt.encode()).hexdigest() for feature in features},
    )


def load_settings(
    *, start: Path, config: Path | None = None, environ: Mapping[str, str], flags: Mapping[str, object]
) -> tuple[Settings, Mapping[str, Origin]]:
    """The settings alone, for commands that need no features; works where there is no feature list. Raises InputRefused."""
    start = start.resolve()
    explicit = explicit_config(config, environ)
    try:
        path = find_config(start, explicit)
    except OrchestrateError:
        if explicit is not None:
            raise
        path = None
    problems: list[Problem] = []
    files = load_files(path, start, environ, problems)
    settings, origins = _settings(files, environ, flags, problems)
    _refuse_if_any(problems)
    return settings, origins


def _refuse_if_any(problems: Sequence[Problem]) -> None:
    """All at once: file by file as they were read, each from top to bottom."""
    if not problems:
        return
    sources = {source: number for number, source in enumerate(dict.fromkeys(problem.source for problem in problems))}
    once = dict.fromkeys(problems)
    raise InputRefused(tuple(sorted(once, key=lambda p: (sources[p.source], p.line, p.column))))


def _settings(
    files: Files, environ: Mapping[str, str], flags: Mapping[str, object], problems: list[Problem]
) -> tuple[Settings, dict[str, Origin]]:
    """All layers merged, names of files made absolute."""
    layers = list(files.layers())
    for layer, found in (layer_of_environment(environ), layer_of_flags(flags)):
        problems += found
        layers.append(sound_part(layer) if found else layer)
    settings, origins = assemble(merge(layers))
    problems += settings_problems(settings, origins)

    def absolute(name: str, written: str) -> str:
        if not written:
            return ""
        try:
            return str(load_any_text(files.folders, written, limit=MAX_BYTES).path)
        except TextRefused as refused:
            problems.append(origins[name].problem(f"the file {quoted(written)} {refused.message}", refused.hint))
            return ""

    prompts = replace(settings.prompts, template=absolute("prompts.template", settings.prompts.template))
    script = absolute("scripted.script", settings.scripted.script)
    return replace(settings, prompts=prompts, scripted=Scripted(script)), origins


def _context(
    settings: Settings, origins: Mapping[str, Origin], folders: Sequence[Path], problems: list[Problem]
) -> str:
    written = settings.prompts.context_file
    if not written:
        return ""
    try:
        return load_text(folders, written).text
    except TextRefused as refused:
        message = f"the context file {quoted(written)} {refused.message}"
        problems.append(origins["prompts.context_file"].problem(message, refused.hint))
        return ""


def _agent_problems(
    settings: Settings, origins: Mapping[str, Origin], features: Sequence[Feature]
) -> tuple[Problem, ...]:
    """What the agents in use cannot do without."""
    scripted = next((feature.id for feature in features if feature.agent == "scripted"), None)
    if scripted is None or settings.scripted.script or origins["scripted.script"] is not DEFAULT:
        return ()
    message = f"feature {quoted(scripted)} is for the scripted agent, which has no script"
    return (origins["agent"].problem(message, "name one as scripted.script; see docs/scripted-agent.md"),)


def _other_lists(path: Path, start: Path) -> tuple[str, ...]:
    """A list that was found says which others it was preferred to."""
    others = [shown(other, start) for other in lists_in(base_of(path)) if other != path]
    if path.name not in LIST_NAMES or not others:
        return ()
    return (f"using {shown(path, start)}; also there, not read: {', '.join(others)}",)


def _settings_digest(settings: Settings, context: str, folders: Sequence[Path]) -> str:
    """The same wherever the repository lies: names of files count from its root, as far as they are inside."""
    template = Path(settings.prompts.template).read_text("utf-8") if settings.prompts.template else ""
    settings = replace(
        settings,
        prompts=replace(settings.prompts, template=_from(folders, settings.prompts.template)),
        scripted=Scripted(_from(folders, settings.scripted.script)),
    )
    row: dict[str, Any] = {key: value for key, value in asdict(settings).items() if key not in NOT_INPUT}
    return digest_of([row, context, template])


def _from(folders: Sequence[Path], absolute: str) -> str:
    inside = (str(Path(absolute).relative_to(folder)) for folder in folders if Path(absolute).is_relative_to(folder))
    return next(inside, absolute) if absolute else ""
