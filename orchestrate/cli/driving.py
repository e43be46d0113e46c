"""How a command comes to drive a run: with what a run was begun, whether everything for it is there, and the engine itself.

Invariant: there is one way to go on with a run, for `run --resume`, `resume`, `retry` and `cancel`.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrate.cli.context import Session
from orchestrate.cli.plan import load_plan
from orchestrate.errors import ExitCode, OrchestrateError

if TYPE_CHECKING:
    from orchestrate.app.order import Order
    from orchestrate.app.planning import Planned
    from orchestrate.app.unfinished import Unfinished
    from orchestrate.cli.progress import Way
    from orchestrate.core.state import RunState
    from orchestrate.store.artifacts import StateDir


def limits_given(jobs: int | None, max_cost: float | None) -> dict[str, object]:
    """What a later engine of a run may be given, by setting name. Raises OrchestrateError for what is no limit."""
    return {"max_parallel": jobs, "limits.max_cost_usd": dollars(max_cost)}


def refuse_limits(run: str, given: Mapping[str, object]) -> None:
    """Raises OrchestrateError where limits are given for an engine that is at work already."""
    if any(value is not None for value in given.values()):
        raise OrchestrateError(
            f"run {run} is being driven: its limits cannot be changed now",
            hint="leave out -j and --max-cost, or stop it first: orchestrate stop",
        )


def dollars(given: float | None) -> float | None:
    """A cost limit from the command line. Raises OrchestrateError for one that is none."""
    if given is not None and not (0 < given < float("inf")):
        raise OrchestrateError(
            f"--max-cost: expected dollars greater than 0, got {given:g}", hint="such as --max-cost 5"
        )
    return given


def newest_unfinished(
    session: Session, config: Path | None, given: Mapping[str, object]
) -> tuple[StateDir, Unfinished]:
    """The newest unfinished run and where it is recorded. Raises OrchestrateError when there is none."""
    from orchestrate.app.unfinished import last_unfinished_run
    from orchestrate.cli.recorded import common_git_dir
    from orchestrate.store.artifacts import StateDir

    if config is None:
        state = StateDir(common_git_dir(session.start, session.environ))
        if unfinished := last_unfinished_run(state):
            return state, unfinished
    # The list may say that its repository lies elsewhere.
    planned = load_plan(session, config, select=None, exclude=None, failed=False, flags=dict(given))
    state = StateDir(planned.repository.common_dir)
    if unfinished := last_unfinished_run(state):
        return state, unfinished
    raise OrchestrateError("there is no unfinished run to go on with", hint=_way_on(state))


def _way_on(state: StateDir) -> str:
    """What to do instead of going on with a run that is over."""
    from orchestrate.core.events import RunEnded
    from orchestrate.store.log import SqliteEventLog

    with SqliteEventLog(state.log, read_only=True) as log:
        last = log.last(runs[-1]) if (runs := log.runs()) else None
    if last is not None and isinstance(last.event, RunEnded) and last.event.status == "incomplete":
        return "try again what was not integrated: orchestrate retry"
    return "start one: orchestrate run"


def build_resumed(
    session: Session,
    state: StateDir,
    begun: Unfinished,
    config: Path | None,
    given: Mapping[str, object],
    *,
    unpause: bool,
) -> tuple[Planned, Order]:
    """The run again, with the feature list and the settings that it was started with; what is given now wins.

    The plan and the base are those in its log. unpause: it is to go on also if somebody has paused it.
    """
    from orchestrate.app.controls import person
    from orchestrate.app.order import Order
    from orchestrate.spec.frozen import parse_plan

    flags = {name: value for name, value in begun.flags.items() if name != "base_branch"}
    flags |= {name: value for name, value in given.items() if value is not None}
    config = config or (Path(begun.config) if begun.config else None)
    planned = _planned(session, state, config, flags, begun.base)
    order = Order(
        loaded=planned.loaded,
        repository=planned.repository,
        plan=parse_plan(begun.plan),
        base=planned.base,
        inputs=begun.inputs,
        environ=session.environ,
        resume=begun.run,
        unpause=unpause,
        by=person(),
        flags=flags,
    )
    return planned, order


def _planned(session: Session, state: StateDir, config: Path | None, flags: dict[str, object], base: str) -> Planned:
    """What the feature list says today. base: commit that the run began from, as its branch may be gone. A list that is not where it was, or speaks of another repository, was moved or
    copied together with this one: then the one in this repository is meant."""
    if config is not None and not session.path(config).exists():
        config = next(_moved(state.common_git_dir.resolve().parent, config), config)
    planned = load_plan(session, config, select=None, exclude=None, failed=False, flags=flags, base=base)
    if config is not None and not _is_of(planned, state):
        there = next(_moved(state.common_git_dir.resolve().parent, config), None)
        if there is not None:
            planned = load_plan(session, there, select=None, exclude=None, failed=False, flags=flags, base=base)
    if not _is_of(planned, state):
        raise OrchestrateError(
            f"{planned.loaded.config_path} is about another repository, {planned.repository.toplevel}",
            hint="name the feature list of this one with --config",
        )
    return planned


def _is_of(planned: Planned, state: StateDir) -> bool:
    return planned.repository.common_dir.resolve() == state.common_git_dir.resolve()


def _moved(top: Path, config: Path) -> Iterator[Path]:
    """Where the file may lie now, under the repository's main checkout: the longest part of its old path comes first."""
    parts = config.parts[1:] if config.is_absolute() else config.parts
    for start in range(len(parts)):
        place = top.joinpath(*parts[start:])
        if place.is_file():
            yield place


def ready_warnings(order: Order) -> tuple[str, ...]:
    """What may go wrong. Raises InputRefused when something that the run cannot do without is not there."""
    from orchestrate.app.preflight import require_ready

    return require_ready(order)


def say_what_goes_on(session: Session, begun: Unfinished, state: RunState, *, unpause: bool = True) -> None:
    """Which run it is, and how much of it is left. state: of the run, before anybody goes on with it."""
    since = time.strftime("%Y-%m-%d %H:%M", time.localtime(begun.started))
    features = state.features.values()
    over = Counter(f.ended for f in features if f.ended is not None and f.id not in state.reopening)
    counts = (
        (over.pop("integrated", 0), "integrated"),
        *((count, ended.replace("_", " ")) for ended, count in sorted(over.items())),
        (sum(f.active for f in features), "under way"),
        (sum((f.ended is None and not f.active) or f.id in state.reopening for f in features), "to begin"),
    )
    stands = ", ".join(f"{count} {word}" for count, word in counts if count)
    session.printer.say(f"going on with run {begun.run} of {since}: {stands}")
    if held := state.holds.get("operator"):
        if unpause:
            session.printer.say(f"it was paused by {held.by}; that is over now")
        else:
            session.printer.warn(f"it is paused by {held.by}: nothing new starts", hint="go on: orchestrate resume")


def drive(session: Session, order: Order, progress: Way) -> ExitCode:
    """Run it in the foreground, to its end."""
    from orchestrate.app.running import run_order
    from orchestrate.cli.progress import choose_progress

    shown = choose_progress(session.printer, progress, settings=order.loaded.settings, environ=session.environ)
    with shown:
        ran = run_order(order, shown.follow)
        shown.finish(ran)
    return ran.code


def conclude(session: Session, order: Order) -> None:
    """Bring a run to its end in which nothing is left to work on; shows nothing."""
    from orchestrate.app.running import run_order
    from orchestrate.cli.plain import Progress
    from orchestrate.engine.clock import SystemClock

    run_order(order, Progress(session.printer, SystemClock()).follow)
