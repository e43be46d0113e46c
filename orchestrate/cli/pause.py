"""`orchestrate pause`: nothing new starts until `resume`; the engine stays and waits."""

from __future__ import annotations

from typing import Annotated

import typer

from orchestrate.cli.context import Session
from orchestrate.cli.controls import (
    Reply,
    Target,
    agents,
    find_target,
    require_open,
    send,
    show_reply,
    stamp,
    waiting,
)
from orchestrate.cli.options import JsonOption, SteeredRunArgument
from orchestrate.core import events as ev
from orchestrate.core.state import RunState


def pause(
    session: Session,
    run: SteeredRunArgument = None,
    now: Annotated[bool, typer.Option("--now", help="End running agents too; their work is kept.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Start nothing new until `resume`.

    Running agents finish what they are at, and what is finished is checked and merged. A pause holds until somebody ends
    it, also when the engine is stopped and started again.

    \b
      orchestrate pause          let running agents finish
      orchestrate pause --now    end them; their work and their sessions are kept
    """
    target = find_target(session, run)
    require_open(target, "pause")
    held = target.state.holds.get("operator")
    if held is not None and (held.now or not now):
        reply = Reply("pause", f"run {target.run} is paused already, by {held.by}", next=target.typed("resume"))
        show_reply(session, target, reply, target.state, as_json=as_json)
        return
    at, by = stamp()
    sent = send(target, ev.PauseRequested(at, by, now=now))
    words = _live_words(target, sent.state, now=now) if sent.by_engine else _idle_words(target)
    reply = Reply("pause", words, sent.number, next=target.typed("resume"), waits_for_end=True)
    show_reply(session, target, reply, sent.state, as_json=as_json)


def _live_words(target: Target, state: RunState, *, now: bool) -> str:
    busy = (
        agents(state, "is ended and its work is kept", "are ended and their work is kept")
        if now
        else agents(state, "finishes", "finish")
    )
    rest = len(waiting(state))
    return f"paused run {target.run}: {busy}, {rest} {'feature waits' if rest == 1 else 'features wait'}"


def _idle_words(target: Target) -> str:
    return f"paused run {target.run}: nobody drives it, and its next engine starts nothing until it is resumed"
