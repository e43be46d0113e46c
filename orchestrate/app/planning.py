"""From what the user wrote to the plan that would run: feature list, repository and selection put together.

Invariant: nothing is created or changed; every refusal comes before anything could be.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrate import __version__
from orchestrate.core import events as ev
from orchestrate.core.names import TRAILER, parse_attempt_key
from orchestrate.core.plan import Plan, build_plan
from orchestrate.core.selection import Selection, narrowed, selected, unmet_needs
from orchestrate.errors import OrchestrateError
from orchestrate.git.repository import Base, Repository, open_repository, resolve_base
from orchestrate.spec.finding import SETTINGS_NAME
from orchestrate.spec.frozen import FrozenPlan, parse_plan
from orchestrate.store.artifacts import StateDir
from orchestrate.store.log import SqliteEventLog
from orchestrate.views.plan import PlanView

from .notices import setup_notices, uncommitted_notices

if TYPE_CHECKING:
    from orchestrate.spec.load import Loaded


@dataclass(frozen=True, slots=True)
class Wishes:
    """Which features, as typed. failed: only those that the last run did not integrate."""

    select: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Planned:
    """plan: of the selected features alone. selection: with the ids that --failed stood for. notices: about the checkout
    that it was made in."""

    loaded: Loaded
    repository: Repository
    base: Base
    plan: Plan
    selection: Selection
    notices: tuple[str, ...] = ()

    def frozen(self, created_at: str) -> FrozenPlan:
        """For a file. created_at: ISO 8601 in UTC."""
        loaded = self.loaded
        return FrozenPlan(
            version=__version__,
            created_at=created_at,
            config=_relative(loaded.config_path, loaded.root),
            base_branch=self.base.name,
            base=self.base.commit,
            selection=str(self.selection),
            inputs=loaded.inputs_digest,
            settings=loaded.settings_digest,
            prompts={fid: loaded.prompt_digests[fid] for fid in self.plan.features},
            plan=self.plan,
        )

    @property
    def view(self) -> PlanView:
        """For showing."""
        loaded = self.loaded
        return PlanView(
            plan=self.plan,
            project=loaded.project_name,
            config=_relative(loaded.config_path, loaded.root),
            base=self.base.commit,
            base_branch=self.base.name,
            branch_prefix=loaded.settings.branch_prefix,
            parallel=loaded.settings.max_parallel,
            listed=len(loaded.features),
            selection=str(self.selection),
            notices=(*loaded.notices, *self.repository.notices, *self.notices),
        )


def make_plan(loaded: Loaded, *, environ: Mapping[str, str], wishes: Wishes | None = None, base: str = "") -> Planned:
    """base: the commit that counts where the base branch is gone; empty: then there is no plan.

    Raises OrchestrateError: no repository, no base, a cycle, a selection that means nothing or lacks what it needs."""
    settings = loaded.settings
    repository = open_repository(loaded.root, environ=environ, branch_prefix=settings.branch_prefix)
    start = _resolve_base(repository, settings.base_branch, base)
    plan = build_plan(loaded.features, start_on=settings.start_on, schedule=settings.schedule)
    selection = Selection(wishes.select, wishes.exclude) if wishes else Selection()
    if wishes and wishes.failed:
        selection = replace(selection, failed=last_failed(repository))
    if not selection.is_everything:
        chosen = selected(plan, selection)
        done = integrated_in(repository, start.commit) if unmet_needs(plan, chosen) else frozenset()
        _refuse_to_forget(repository, unmet_needs(plan, chosen), done)
        plan = build_plan(narrowed(plan, chosen, done=done), start_on=plan.start_on, schedule=plan.schedule)
    return Planned(loaded, repository, start, plan, selection, _notices(loaded, repository, start, plan))


def _resolve_base(repository: Repository, name: str, otherwise: str) -> Base:
    try:
        return resolve_base(repository, name)
    except OrchestrateError:
        if not otherwise:
            raise
        return Base(otherwise, "commit", otherwise)


def _notices(loaded: Loaded, repository: Repository, base: Base, plan: Plan) -> tuple[str, ...]:
    inputs = (loaded.config_path, loaded.root / SETTINGS_NAME)
    commands = dict.fromkeys(command.run for feature in plan.features.values() for command in feature.setup)
    return (*uncommitted_notices(repository, base, inputs), *setup_notices(repository, commands))


def list_features(loaded: Loaded, *, environ: Mapping[str, str], wishes: Wishes) -> tuple[Plan, tuple[str, ...]]:
    """The whole plan and the ids that were meant. The repository is looked at only for --failed."""
    plan = build_plan(loaded.features)
    selection = Selection(wishes.select, wishes.exclude)
    if wishes.failed:
        selection = replace(selection, failed=last_failed(open_repository(loaded.root, environ=environ)))
    return plan, selected(plan, selection)


def last_failed(repository: Repository) -> frozenset[str]:
    """Ids that the newest run planned and did not integrate. Raises OrchestrateError when there was no run."""
    with SqliteEventLog(StateDir(repository.common_dir).log, read_only=True) as log:
        runs = log.runs()
        if not runs:
            raise OrchestrateError("--failed: nothing has been run in this repository yet", hint="orchestrate run")
        events = [stored.event for stored in log.read(runs[-1])]
    planned = {fid for e in events if isinstance(e, ev.RunStarted) for fid in parse_plan(e.plan).features}
    return frozenset(
        planned - {e.feature for e in events if isinstance(e, ev.AttemptEnded) and e.outcome == "integrated"}
    )


@dataclass(frozen=True, slots=True)
class LastResult:
    """What the newest run that came to its end left. integrated: ids that are in `branch`."""

    run: str
    branch: str
    integrated: frozenset[str]


def last_result(repository: Repository) -> LastResult | None:
    """None without such a run, or when its integration branch is gone."""
    with SqliteEventLog(StateDir(repository.common_dir).log, read_only=True) as log:
        runs = log.runs()
        first = log.first(runs[-1]) if runs else None
    if first is None or not isinstance(first.event, ev.RunStarted):
        return None
    branch = first.event.integration_branch
    try:
        tip = resolve_base(repository, branch)
    except OrchestrateError:
        return None
    return LastResult(first.run, branch, integrated_in(repository, tip.commit))


def _refuse_to_forget(repository: Repository, unmet: Sequence[tuple[str, str]], done: Collection[str]) -> None:
    """A need that the last run has integrated is there to be had: say how, rather than have it paid for again."""
    needed = {need for _, need in unmet if need not in done}
    last = last_result(repository) if needed else None
    if last is None or not needed <= last.integrated:
        return
    fid, need = next(pair for pair in unmet if pair[1] in needed)
    raise OrchestrateError(
        f"{fid} needs {need}, which run {last.run} has integrated into {last.branch} and nobody has landed yet",
        hint=f"land it first: git merge {last.branch}   or start from there: --base {last.branch}",
    )


def integrated_in(repository: Repository, commit: str) -> frozenset[str]:
    """Ids of the features that an earlier run merged into the commit's history, told by the trailers of its merges."""
    values = f"%(trailers:key={TRAILER},valueonly)"
    log = repository.git.run_now("log", "--merges", f"--grep=^{TRAILER}: ", f"--format={values}", commit, "--")
    keys = (parse_attempt_key(line) for line in log.stdout.decode("utf-8", "replace").splitlines())
    return frozenset(key.feature for key in keys if key)


def _relative(path: Path, root: Path) -> str:
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)
