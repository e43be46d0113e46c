"""`orchestrate retry [FEATURE…]`: what ended without being integrated is tried again, on the same integration branch."""

from __future__ import annotations

from typing import Annotated

import typer

from orchestrate.app.unfinished import begun_run
from orchestrate.cli import complete
from orchestrate.cli.context import Session
from orchestrate.cli.controls import Reply, Target, find_target, listed, send, show_reply, stamp
from orchestrate.cli.driving import build_resumed, drive, limits_given, ready_warnings, refuse_limits
from orchestrate.cli.options import (
    ConfigOption,
    EventsOption,
    JobsOption,
    MaxCostOption,
    ProgressOption,
    SteeredRunOption,
    YesOption,
)
from orchestrate.core import events as ev
from orchestrate.core.requests import retry as note_retry
from orchestrate.errors import ExitCode, OrchestrateError
from orchestrate.views.figures import count_of


def retry(
    session: Session,
    features: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="FEATURE",
            help="Ids. [default: all that ended without being integrated]",
            autocompletion=complete.features,
        ),
    ] = None,
    run: SteeredRunOption = None,
    config: ConfigOption = None,
    yes: YesOption = False,
    jobs: JobsOption = None,
    max_cost: MaxCostOption = None,
    progress: ProgressOption = "auto",
    as_json: EventsOption = False,
) -> ExitCode:
    """Try again what was not integrated.

    With them come the features that they build on, if those are not integrated either, and those that were skipped
    because of them. What is integrated stays, and nothing of it is paid for again. Drives the run, as `run` does, unless
    an engine is at it already.

    \b
      orchestrate retry          everything that failed, was cancelled or skipped
      orchestrate retry api      this one
    """
    target = find_target(session, run, also_over=True)
    named = target.features(features)
    again = _reopened(target, named)
    flags = limits_given(jobs, max_cost)
    if target.is_driven:
        refuse_limits(target.run, flags)
        _ask(session, target, named, again, as_json=as_json)
        return ExitCode.DONE
    begun = begun_run(target.files, target.run)
    _, order = build_resumed(session, target.files, begun, config, flags, unpause=True)
    for doubt in ready_warnings(order):  # everything is looked at before the wish is noted
        session.printer.warn(doubt)
    if not as_json:
        session.printer.say(_words(target, again))
    if not yes and not session.confirm("Proceed?", flag="--yes"):
        session.printer.say("nothing was changed")
        return ExitCode.INCOMPLETE
    at, by = stamp()
    send(target, ev.RetryRequested(at, by, features=named))
    return drive(session, order, "json" if as_json else progress)


def _ask(session: Session, target: Target, named: tuple[str, ...], again: tuple[str, ...], *, as_json: bool) -> None:
    """Have the engine that is at it do it."""
    at, by = stamp()
    sent = send(target, ev.RetryRequested(at, by, features=named))
    words, way_on = _words(target, again), target.typed("status")
    if not sent.by_engine:
        words, way_on = f"{words}; its engine has ended meanwhile", target.typed("resume")
    reply = Reply("retry", words, sent.number, again, way_on, waits_for_end=True)
    show_reply(session, target, reply, sent.state, as_json=as_json)


def _reopened(target: Target, named: tuple[str, ...]) -> tuple[str, ...]:
    """Features that would be opened again, dependencies first. Raises OrchestrateError where there is nothing to retry."""
    for fid in named:
        ended = target.state.features[fid].ended
        if ended is None:
            raise OrchestrateError(
                f"{fid} has not ended: there is nothing to try again",
                hint=f"see how it stands: {target.typed('logs', fid)}",
            )
        if ended == "integrated":
            raise OrchestrateError(
                f"{fid} is integrated: there is nothing to try again", hint=target.typed("diff", fid)
            )
    note_retry(target.state, ev.RetryRequested(0.0, features=named))
    again = tuple(target.state.reopening)
    if not again:
        raise OrchestrateError(
            f"run {target.run} has no feature that ended without being integrated",
            hint=f"see it: {target.typed('status')}",
        )
    return again


def _words(target: Target, again: tuple[str, ...]) -> str:
    return f"run {target.run} tries {count_of(len(again), 'feature')} again: {listed(again)}"
