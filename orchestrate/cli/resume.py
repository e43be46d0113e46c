"""`orchestrate resume [RUN]`: a paused run goes on where it is driven; one that nobody drives is driven from here."""

from __future__ import annotations

from orchestrate.app.unfinished import unfinished_run
from orchestrate.cli.context import Session
from orchestrate.cli.controls import Reply, Target, find_target, refuse_over, send, show_reply, stamp, waiting
from orchestrate.cli.driving import build_resumed, drive, limits_given, ready_warnings, refuse_limits, say_what_goes_on
from orchestrate.cli.options import (
    ConfigOption,
    EventsOption,
    JobsOption,
    MaxCostOption,
    ProgressOption,
    SteeredRunArgument,
)
from orchestrate.core import events as ev
from orchestrate.core.attempt import Attempt
from orchestrate.core.state import RunState
from orchestrate.errors import ExitCode, OrchestrateError
from orchestrate.views.figures import count_of


def resume(
    session: Session,
    run: SteeredRunArgument = None,
    config: ConfigOption = None,
    jobs: JobsOption = None,
    max_cost: MaxCostOption = None,
    progress: ProgressOption = "auto",
    as_json: EventsOption = False,
) -> ExitCode:
    """Go on with a run: paused, cut off, or stopped by a person or a limit.

    Where an engine is at it, that one goes on. Else it is driven from here, as by `run`: only what is unfinished runs, and
    an agent that was cut off goes on in its own session, in its own worktree.

    \b
      orchestrate resume
      orchestrate resume --max-cost 40
    """
    flags = limits_given(jobs, max_cost)
    target = find_target(session, run)
    if target.is_driven:
        refuse_limits(target.run, flags)
        if _unpause(session, target, as_json=as_json):
            return ExitCode.DONE
    begun = unfinished_run(target.files, target.run)
    if begun is None:
        refuse_over(target, "go on with")
    _, order = build_resumed(session, target.files, begun, config, flags, unpause=True)
    for doubt in ready_warnings(order):
        session.printer.warn(doubt)
    if not as_json:
        say_what_goes_on(session, begun, target.state)
    return drive(session, order, "json" if as_json else progress)


def _unpause(session: Session, target: Target, *, as_json: bool) -> bool:
    """Let the run go on where it is driven. False: its engine has ended meanwhile."""
    if stopping := target.stopping_words:
        raise OrchestrateError(
            f"run {target.run} {stopping}: it starts nothing any more, and can be gone on with once it has ended",
            hint=f"watch it end: {target.typed('status')}   then: {target.typed('resume')}",
        )
    if "operator" not in target.state.holds:
        words = f"run {target.run} is not paused: it is driven by {target.engine}"
        if held := next(iter(target.state.holds.values()), None):
            words = f"run {target.run} waits for room ({held.why}) and goes on by itself"
        reply = Reply("resume", words, next=target.typed("status"))
        show_reply(session, target, reply, target.state, as_json=as_json)
        return True
    at, by = stamp()
    sent = send(target, ev.ResumeRequested(at, by))
    if sent.by_engine:
        reply = Reply("resume", _words(target, sent.state), sent.number, next=target.typed("status"))
        show_reply(session, target, reply, sent.state, as_json=as_json)
    return sent.by_engine


def _words(target: Target, state: RunState) -> str:
    """How many go on where the pause stopped them, and how many wait. state: right after the request."""
    before = target.state
    halted = [f.id for f in before.features.values() if f.active and _is_halted(before.attempt(f.id))]
    rest = len([fid for fid in waiting(state) if fid not in halted])
    parts = [f"{count_of(len(halted), 'agent')} {'goes' if len(halted) == 1 else 'go'} on"] if halted else []
    parts += [f"{count_of(rest, 'feature')} {'waits' if rest == 1 else 'wait'} for a turn"] if rest else []
    return f"run {target.run} goes on" + (f": {', '.join(parts)}" if parts else "")


def _is_halted(a: Attempt) -> bool:
    """Parked, or being ended to be parked."""
    return a.parked or (a.stopping is not None and a.stopping.outcome == "interrupted")
