"""`orchestrate cancel [FEATURE…]`: features, or all of the run, are given up; their work is kept."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated

import typer

from orchestrate.app.unfinished import begun_run
from orchestrate.cli import complete
from orchestrate.cli.context import Session
from orchestrate.cli.controls import (
    Reply,
    Target,
    find_target,
    listed,
    require_open,
    send,
    show_reply,
    stamp,
)
from orchestrate.cli.driving import build_resumed, conclude
from orchestrate.cli.options import JsonOption, SteeredRunOption, YesOption
from orchestrate.core import events as ev
from orchestrate.core.state import RunState
from orchestrate.errors import ExitCode, OrchestrateError
from orchestrate.views.figures import count_of


def cancel(
    session: Session,
    features: Annotated[
        list[str] | None,
        typer.Argument(metavar="FEATURE", help="Ids. [default: the whole run]", autocompletion=complete.features),
    ] = None,
    run: SteeredRunOption = None,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> ExitCode:
    """Give features up, or the whole run.

    Their agents are ended, their work is kept, and what builds on them is skipped. `retry` takes it back. What is
    integrated stays so.

    \b
      orchestrate cancel api     this one, and what builds on it
      orchestrate cancel         all that has not ended
    """
    target = find_target(session, run)
    require_open(target, "cancel")
    named = target.features(features)
    _refuse_ended(target, named)
    if as_json and not (named or yes):
        raise OrchestrateError("cancel --json does not ask", hint="answer with --yes")
    if not named and not yes:
        state = target.state
        left = [fid for fid, f in state.features.items() if f.ended is None or fid in state.reopening]
        names = listed(left, most=12)
        question = f"Give up {count_of(len(left), 'feature')} of run {target.run} ({names})?"
        if not session.confirm(question, flag="--yes"):
            session.printer.say("nothing was changed")
            return ExitCode.INCOMPLETE
    at, by = stamp()
    sent = send(target, ev.CancelRequested(at, by, features=named))
    rest = _left_by(sent.state)
    words = f"cancelled {listed(named) if named else 'everything that had not ended'} in run {target.run}"
    words += _consequences(sent.state, named or tuple(sent.state.cancelled))
    is_seen_to = sent.by_engine or (not rest and _conclude(session, target))
    way_on = target.typed("status" if is_seen_to else "resume")
    reply = Reply("cancel", words, sent.number, named, way_on)
    show_reply(session, target, reply, sent.state, as_json=as_json)
    return ExitCode.DONE


def _refuse_ended(target: Target, named: tuple[str, ...]) -> None:
    for fid in named:
        ended = target.state.features[fid].ended
        if ended is not None and fid not in target.state.reopening:
            raise OrchestrateError(
                f"{fid} cannot be cancelled: it has ended ({ended.replace('_', ' ')})", hint=target.typed("logs", fid)
            )


def _left_by(state: RunState) -> set[str]:
    """Features that are still to be worked on, once what is cancelled is gone and what builds on it is skipped."""
    lost: set[str] = set(state.cancelled)
    lost |= {f.id for f in state.features.values() if f.ended not in (None, "integrated")} - set(state.reopening)
    lost |= _building_on(state, lost)
    return {f.id for f in state.features.values() if f.ended is None or f.id in state.reopening} - lost


def _building_on(state: RunState, features: Collection[str]) -> set[str]:
    """All that depends on them, near or far, and has not ended."""
    found: set[str] = set()
    todo = list(features)
    while todo:
        for dependent in state.plan.dependents[todo.pop()]:
            if dependent not in found and state.features[dependent].ended is None:
                found.add(dependent)
                todo.append(dependent)
    return found


def _consequences(state: RunState, features: Collection[str]) -> str:
    ended = sum(state.features[fid].active for fid in features)
    skipped = sorted(_building_on(state, features) - set(features))
    words = f"; the work of {count_of(ended, 'attempt')} is kept" if ended else ""
    return words + (f"; {listed(skipped)} {'is' if len(skipped) == 1 else 'are'} skipped" if skipped else "")


def _conclude(session: Session, target: Target) -> bool:
    """Nothing is left to work on and nobody is there to say so: an engine of ours brings the run to its end, if it can."""
    try:
        begun = begun_run(target.files, target.run)
        _, order = build_resumed(session, target.files, begun, None, {}, unpause=True)
        conclude(session, order)
    except OrchestrateError as refusal:
        session.printer.warn(f"the run could not be brought to its end: {refusal.message}", hint=refusal.hint)
        return False
    return True
