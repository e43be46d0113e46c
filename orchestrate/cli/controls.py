"""What the commands that steer a run have in common: which run is meant, how a request is sent, how it is answered.

Invariant: a request that makes no sense is refused before anything is stored (exit code 2); with --json there is one document.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import NoReturn

from orchestrate.app.controls import ANSWER_S, LOOK_S, Addressed, Delivered, address, deliver, person
from orchestrate.app.unfinished import last_unfinished_run
from orchestrate.cli.context import Session
from orchestrate.cli.recorded import find_feature, open_recorded
from orchestrate.core import events as ev
from orchestrate.core.attempt import Stage
from orchestrate.core.state import RunState
from orchestrate.engine.clock import SystemClock
from orchestrate.engine.lock import Owner, owner
from orchestrate.errors import OrchestrateError
from orchestrate.store.artifacts import StateDir
from orchestrate.views.controls import by_words
from orchestrate.views.figures import count_of
from orchestrate.views.text import clean

CONTROL_SCHEMA = "orchestrate/control/v1"

_NAMES_FEATURES = frozenset({"answer", "cancel", "diff", "logs", "retry"})
"""Commands whose argument is a feature, so that the run is an option."""

_SIGNALS = {"SIGINT": "Ctrl-C", "SIGTERM": "SIGTERM", "SIGHUP": "the closing of its terminal"}


@dataclass(frozen=True, slots=True)
class Target:
    """The run that a request is for, and where it is recorded."""

    files: StateDir
    addressed: Addressed

    @property
    def run(self) -> str:
        return self.addressed.run

    @property
    def state(self) -> RunState:
        return self.addressed.state

    @property
    def engine(self) -> Owner | None:
        return self.addressed.engine

    @property
    def is_driven(self) -> bool:
        """Whether an engine is at it; a command that holds the repository for a moment, such as cleanup, is none."""
        return self.engine is not None and self.engine.run == self.run

    @property
    def stopping_words(self) -> str:
        """`is stopping (asked for by anna@laptop pts/3 at 15:57:12)`; empty where it is not."""
        stop = self.addressed.stopping
        if stop is None or not self.is_driven:
            return ""
        by = by_words(stop.by) if stop.control or not stop.by.startswith("SIG") else _SIGNALS.get(stop.by, stop.by)
        return f"is stopping (asked for by {by} at {time.strftime('%H:%M:%S', time.localtime(stop.at))})"

    def typed(self, command: str, *features: str) -> str:
        """What to type for this very run; it is named where others have been run since."""
        words = ["orchestrate", command, *features]
        if not self.addressed.is_newest:
            words += ["--run", self.run] if command in _NAMES_FEATURES else [self.run]
        return " ".join(words)

    def features(self, given: Sequence[str] | None) -> tuple[str, ...]:
        """Ids as the plan spells them, each once. Raises OrchestrateError with the nearest ones."""
        return tuple(dict.fromkeys(find_feature(self.state.plan, fid, f"run {self.run}") for fid in given or ()))


def find_target(session: Session, given: str | None, *, also_over: bool = False) -> Target:
    """The run that was named; else the one that is being driven, else the newest unfinished one, else the newest.

    also_over: runs that are over are meant as well, so that the newest one comes before unfinished ones.
    """
    with open_recorded(session.start, session.environ) as recorded:
        files = recorded.state
        engine = owner(files.engine_lock)
        if given is None and engine is not None and engine.run:
            run = _when_begun(files, engine.run)
        else:
            unfinished = None if given or also_over else last_unfinished_run(files)
            run = unfinished.run if unfinished else recorded.find_run(given)
    return Target(files, address(files, run))


def _when_begun(files: StateDir, run: str) -> str:
    """An engine says which run it drives a moment before the run has a log."""
    from orchestrate.store.log import SqliteEventLog

    until = time.monotonic() + ANSWER_S
    with SqliteEventLog(files.log, read_only=True) as log:
        while log.first(run) is None and time.monotonic() < until:
            time.sleep(LOOK_S)
    return run


def send(target: Target, request: ev.Event) -> Delivered:
    """Store the request and see it taken in. Raises OrchestrateError when nobody answers."""
    return deliver(target.files, target.run, request, clock=SystemClock())


def stamp() -> tuple[float, str]:
    """(time, who) for a request."""
    return SystemClock().now(), person()


# ── answers ──────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Reply:
    """What became of a request. control: its number in the store; 0: nothing had to be asked for. next: what to type.
    waits_for_end: nothing follows from it in an engine that is to end."""

    request: str
    message: str
    control: int = 0
    features: tuple[str, ...] = ()
    next: str = ""
    waits_for_end: bool = False


def show_reply(session: Session, target: Target, reply: Reply, state: RunState, *, as_json: bool) -> None:
    """One line, or one document. state: of the run, with the request in it."""
    if as_json:
        session.printer.document(
            {
                "schema": CONTROL_SCHEMA,
                "request": reply.request,
                "control": reply.control,
                "run": target.run,
                "message": reply.message,
                "features": list(reply.features),
                "engine": _engine_document(target.engine),
                "working": len(state.stages[Stage.INVOKING]),
                "waiting": len(waiting(state)),
                "held": sorted(state.holds),
                "stop": state.stop,
                "next": reply.next,
            }
        )
        return
    session.printer.answer(clean(reply.message))
    if reply.waits_for_end and (stopping := target.stopping_words):
        session.printer.say(clean(f"the run {stopping}: it holds for when the run is gone on with"))
    if reply.next:
        session.printer.say(f"next: {reply.next}")


def _engine_document(engine: Owner | None) -> dict[str, object] | None:
    if engine is None:
        return None
    return {
        key: value for key, value in asdict(engine).items() if key in ("pid", "host", "terminal", "since", "command")
    }


def waiting(state: RunState) -> list[str]:
    """Features that have not ended and are about to start or go on, but for those whose agent is still being ended."""
    return [f.id for f in state.features.values() if f.ended is None and (not f.active or _is_before(state, f.id))]


def _is_before(state: RunState, fid: str) -> bool:
    """Its next agent is what its attempt waits for."""
    a = state.attempt(fid)
    return a.parked or a.stage in (Stage.PREPARING, Stage.READY)


def agents(state: RunState, verb: str, verbs: str) -> str:
    """`1 agent finishes` · `2 agents finish` · `no agent is at work`."""
    count = len(state.stages[Stage.INVOKING])
    return f"{count_of(count, 'agent')} {verb if count == 1 else verbs}" if count else "no agent is at work"


def listed(features: Sequence[str], most: int = 6) -> str:
    """`a, b and 3 more`."""
    return ", ".join(features[:most]) + (f" and {len(features) - most} more" if len(features) > most else "")


def require_open(target: Target, what: str) -> None:
    """Raises OrchestrateError for a run in which nothing is left to do."""
    if target.addressed.is_over:
        refuse_over(target, what)


def refuse_over(target: Target, what: str) -> NoReturn:
    """Raises OrchestrateError: the run is over."""
    is_done = all(f.ended == "integrated" for f in target.state.features.values())
    hint = target.typed("status") if is_done else f"{target.typed('retry')} tries again what was not integrated"
    raise OrchestrateError(f"run {target.run} is over: there is nothing to {what}", hint=hint)
