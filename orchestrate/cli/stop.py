"""`orchestrate stop`: the run ends in good order, to be gone on with later. The same as Ctrl-C where the run is shown."""

from __future__ import annotations

from typing import Annotated

import typer

from orchestrate.cli.context import Session
from orchestrate.cli.controls import Reply, agents, find_target, send, show_reply, stamp
from orchestrate.cli.options import JsonOption, SteeredRunArgument
from orchestrate.core import events as ev


def stop(
    session: Session,
    run: SteeredRunArgument = None,
    now: Annotated[bool, typer.Option("--now", help="End running agents; their work is kept.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Finish what runs, then end.

    Does not wait for the end. `resume` goes on with the rest; nothing that was finished is paid for again.

    \b
      orchestrate stop          as one Ctrl-C: running agents finish
      orchestrate stop --now    as two: agents are ended, work is kept
    """
    target = find_target(session, run)
    if not target.is_driven:
        way_on = "" if target.addressed.is_over else target.typed("resume")
        reply = Reply("stop", f"nothing runs: nobody drives run {target.run}", next=way_on)
        show_reply(session, target, reply, target.state, as_json=as_json)
        return
    at, by = stamp()
    sent = send(target, ev.StopRequested(at, "cancel" if now else "drain", by))
    if not sent.by_engine:
        words, way_on = f"run {target.run} has ended by itself meanwhile", target.typed("status")
    elif now:
        busy = agents(sent.state, "is ended and its work is kept", "are ended and their work is kept")
        words, way_on = f"stopping run {target.run} now: {busy}", target.typed("resume")
    else:
        is_busy = sent.state.in_flight() > 0
        end = f"{agents(sent.state, 'finishes', 'finish')}, then it ends" if is_busy else "nothing runs, it ends now"
        words, way_on = (
            f"stopping run {target.run}: {end}",
            "orchestrate stop --now" if is_busy else target.typed("resume"),
        )
    show_reply(session, target, Reply("stop", words, sent.number, next=way_on), sent.state, as_json=as_json)
