"""Entries of the feature list → features of the plan: defaults applied, prompts read, graph checked.

Invariant: of a bad list every mistake is reported; a mistake in one feature hides none in another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from orchestrate.core.names import fold_id, id_problem
from orchestrate.core.plan import Command, Estimate, Feature
from orchestrate.errors import Problem

from .circles import circles
from .places import KeyPath
from .settings import Settings
from .sources import Document
from .texts import MAX_PROMPT_BYTES, TextRefused, load_text, text_problem
from .words import did_you_mean, quoted

if TYPE_CHECKING:
    from .models import FeatureEntry, Step

_T = TypeVar("_T")

USD_PER_TOKEN = 6e-6
"""Prior for cost: a blend of input, cached input and output at list prices of a mid-sized model."""

TOKENS_PER_SECOND = 150
"""Prior for duration: what an agent gets through, tools included."""

DEFAULT_TOKENS = 40_000

_GUESSES = 20
"""Near names are looked for this often; among thousands of mistakes it would take minutes."""


def estimate_of(tokens: int | None) -> Estimate:
    """The user's figure, or a default; money and time are derived from it."""
    count = tokens if tokens is not None else DEFAULT_TOKENS
    source = "feature list" if tokens is not None else "default"
    return Estimate(count, count * USD_PER_TOKEN, max(60.0, count / TOKENS_PER_SECOND), source)


def command_of(step: Step) -> Command:
    """A step as a command; without a name it is called what it runs."""
    return Command(step.name or " ".join(step.run.split()), step.run.strip(), float(step.timeout_seconds), step.when)


@dataclass(frozen=True, slots=True)
class Entry:
    """A feature as written. number: its place in the list. feature: None if its model refused it."""

    number: int
    id: str
    depends_on: Sequence[str]
    feature: FeatureEntry | None

    def path(self, *rest: str | int) -> KeyPath:
        return ("features", self.number, *rest)


def entries_of(document: Document, problems: list[Problem]) -> list[Entry]:
    """Features as written; of a list with mistakes, whatever can be told of each that has an id."""
    from pydantic import ValidationError

    from .mistakes import mistakes
    from .models import FeatureEntry, FeatureListFile

    written = {key: value for key, value in document.data.items() if key == "features"}
    try:
        accepted = FeatureListFile.model_validate(written).features
        return [Entry(number, feature.id, feature.depends_on, feature) for number, feature in enumerate(accepted)]
    except ValidationError as error:
        problems += mistakes(error, FeatureListFile, document.locate)
    entries = []
    rows = written.get("features")
    for number, row in enumerate(rows if isinstance(rows, list) else ()):
        if not isinstance(row, dict) or not isinstance(row.get("id"), str):
            continue
        needs = row.get("depends_on")
        depends_on = [need for need in needs if isinstance(need, str)] if isinstance(needs, list) else []
        try:
            entries.append(Entry(number, row["id"], depends_on, FeatureEntry.model_validate(row)))
        except ValidationError:
            entries.append(Entry(number, row["id"], depends_on, None))
    return entries


def build_features(
    entries: Sequence[Entry], settings: Settings, document: Document, folders: Sequence[Path]
) -> tuple[tuple[Feature, ...], tuple[Problem, ...], tuple[str, ...]]:
    """Features in the order of the file, all problems, and what a person should know."""
    workshop = _Workshop(settings, document, folders)
    features = [workshop.feature(entry, entry.feature) for entry in entries if entry.feature is not None]
    problems = [*workshop.problems, *id_problems(entries, settings.base_branch, document)]
    problems += dependency_problems(entries, document)
    return tuple(features), tuple(problems), tuple(workshop.notices)


class _Workshop:
    """Makes features, one after the other, and collects what is wrong with them."""

    def __init__(self, settings: Settings, document: Document, folders: Sequence[Path]) -> None:
        self.settings = settings
        self.document = document
        self.folders = folders
        self.problems: list[Problem] = []
        self.notices: list[str] = []

    def feature(self, entry: Entry, written: FeatureEntry) -> Feature:
        settings = self.settings
        depends_on = tuple(dict.fromkeys(written.depends_on))
        if len(depends_on) != len(written.depends_on):
            self.notices.append(f"feature {quoted(entry.id)} names a dependency twice; once is enough")
        limit = written.max_cost_usd if written.max_cost_usd is not None else settings.limits.feature_max_cost_usd
        return Feature(
            id=written.id,
            name=written.name or written.id,
            prompt=self._prompt(entry, written),
            description=written.description,
            prompt_file=written.prompt_file or "",
            depends_on=depends_on,
            priority=written.priority,
            tags=tuple(dict.fromkeys(written.tags)),
            agent=settings.agent if written.agent is None else written.agent,
            model=settings.model if written.model is None else written.model,
            setup=self._commands(entry, "setup", settings.setup, written.setup),
            verify=self._commands(entry, "verify", settings.verify, written.verify),
            touches=tuple(written.touches),
            expects_changes=written.expects_changes,
            timeout_s=float(_given(written.timeout_seconds, settings.timeout_seconds)),
            max_attempts=_given(written.max_attempts, settings.max_attempts),
            max_reworks=_given(written.max_reworks, settings.max_reworks),
            max_cost_usd=None if limit is None else float(limit),
            estimate=estimate_of(written.estimated_tokens),
            creates=tuple(written.creates),
            uses=tuple(written.uses),
            env=tuple({**dict(settings.env), **written.env}.items()) if written.env else settings.env,
        )

    def _prompt(self, entry: Entry, written: FeatureEntry) -> str:
        if written.prompt is not None and written.prompt_file is not None:
            self._report(entry.path("prompt_file"), "has both `prompt` and `prompt_file`", "keep one of them")
            return ""
        if written.prompt_file is not None:
            try:
                return load_text(self.folders, written.prompt_file).text
            except TextRefused as refused:
                message = f"the prompt file {quoted(written.prompt_file)} {refused.message}"
                self._report(entry.path("prompt_file"), message, refused.hint)
                return ""
        key = "description" if written.prompt is None else "prompt"
        prompt = written.prompt if written.prompt is not None else written.description
        if written.prompt is None and not prompt.strip():
            hint = 'add "prompt" with what is to be done, or "prompt_file" with the name of a file'
            self._report(entry.path(), f"feature {quoted(entry.id)} has no prompt", hint)
        elif problem := text_problem(prompt):
            self._report(entry.path(key), f"the prompt {problem}", "write down what is to be done")
        elif len(prompt) > MAX_PROMPT_BYTES // 4 and len(prompt.encode()) > MAX_PROMPT_BYTES:
            self._report(entry.path(key), f"the prompt has more than {MAX_PROMPT_BYTES:,} bytes", "shorten it")
        return prompt

    def _commands(
        self, entry: Entry, key: str, common: tuple[Command, ...], own: Sequence[Step]
    ) -> tuple[Command, ...]:
        """The project's, then the feature's own. Each name once."""
        if not own:
            return common
        commands = list(common)
        names = {command.name for command in common}
        for number, step in enumerate(own):
            command = command_of(step)
            if command.name in names:
                message = f"{key} has two entries called {quoted(command.name)} (those of the project count)"
                self._report(entry.path(key, number), message, 'remove one, or give it a "name" of its own')
            names.add(command.name)
            commands.append(command)
        return tuple(commands)

    def _report(self, path: KeyPath, message: str, hint: str) -> None:
        self.problems.append(self.document.problem(path, message, hint))


def _given(own: _T | None, common: _T) -> _T:
    return common if own is None else own


def id_problems(entries: Sequence[Entry], base_branch: str, document: Document) -> list[Problem]:
    """Ids that cannot be names of branches and directories, or that are the same as another."""
    problems = []
    seen: dict[str, Entry] = {}
    for entry in entries:
        here = entry.path("id")
        problem = id_problem(entry.id)
        if problem:
            hint = "use letters, digits, `-`, `_` and `.`, as in `user-login`"
            problems.append(document.problem(here, f"the id {quoted(entry.id)} {problem}", hint))
        folded = fold_id(entry.id)
        other = seen.setdefault(folded, entry)
        if other is not entry:
            line, _ = document.mark(other.path("id"))
            what = f"the id {quoted(entry.id)} is used twice; first in line {line}"
            if other.id != entry.id:
                what = f"the ids {quoted(other.id)} (line {line}) and {quoted(entry.id)} are one file on some disks"
            problems.append(document.problem(here, what, "give one of them another id"))
        elif base_branch and folded == fold_id(base_branch):
            problems.append(
                document.problem(
                    here, f"the id {quoted(entry.id)} is also the base branch", "give the feature another id"
                )
            )
    return problems


def dependency_problems(entries: Sequence[Entry], document: Document) -> list[Problem]:
    """Dependencies that do not exist, features that depend on themselves, and cycles."""
    known = {entry.id for entry in entries}
    problems = []
    graph: dict[str, list[str]] = {}
    numbers: dict[str, Entry] = {}
    guesses = _GUESSES
    for entry in entries:
        numbers.setdefault(entry.id, entry)
        edges = graph.setdefault(entry.id, [])
        for number, dependency in enumerate(entry.depends_on):
            place = entry.path("depends_on", number)
            if dependency == entry.id:
                message = f"feature {quoted(entry.id)} depends on itself"
                problems.append(document.problem(place, message, "remove this entry"))
            elif dependency in known:
                edges.append(dependency)
            else:
                guesses -= 1
                hint = did_you_mean(dependency, known - {entry.id}) if guesses >= 0 else ""
                message = f"feature {quoted(entry.id)} depends on {quoted(dependency)}, which is not in the list"
                problems.append(document.problem(place, message, hint or "add that feature, or remove this entry"))
    for circle in circles(graph):
        shown = " → ".join((*circle, circle[0]))
        place = numbers[circle[0]].path("depends_on")
        problems.append(
            document.problem(place, f"the dependencies form a cycle: {shown}", "remove one of these dependencies")
        )
    return problems
