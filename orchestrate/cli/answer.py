"""`orchestrate answer FEATURE TEXT`: words of a person for a feature's agent."""

from __future__ import annotations

from typing import Annotated

import typer

from orchestrate.cli.context import Session
from orchestrate.cli.controls import Reply, Target, find_target, send, show_reply, stamp
from orchestrate.cli.options import FeatureArgument, JsonOption, SteeredRunOption
from orchestrate.core import events as ev
from orchestrate.errors import OrchestrateError

LONGEST = 20_000
"""Characters of an answer: it becomes part of a prompt."""


def answer(
    session: Session,
    feature: FeatureArgument,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What its agent is to be told.")],
    run: SteeredRunOption = None,
    as_json: JsonOption = False,
) -> None:
    """Tell a feature's agent something.

    It gets it with its next invocation: the next rework, the next try, or when it goes on after a pause. The feature may
    also have failed: then `retry` comes next.

    \b
      orchestrate answer api 'Use the v2 endpoint.'
    """
    target = find_target(session, run)
    (fid,) = target.features([feature])
    _require_sense(target, fid, text)
    at, by = stamp()
    sent = send(target, ev.AnswerGiven(at, by, feature=fid, text=text.strip()))
    asked = sent.state.features[fid]
    is_lost = asked.ended is not None and fid not in sent.state.reopening
    words = f"the agent of {fid} in run {target.run} gets it with its next invocation"
    way_on = f"orchestrate retry {fid}" if is_lost else "" if sent.by_engine else "orchestrate resume"
    show_reply(session, target, Reply("answer", words, sent.number, (fid,), way_on), sent.state, as_json=as_json)


def _require_sense(target: Target, fid: str, text: str) -> None:
    if not text.strip():
        raise OrchestrateError("the answer is empty", hint=f"orchestrate answer {fid} 'what its agent is to be told'")
    if len(text) > LONGEST:
        raise OrchestrateError(
            f"the answer has {len(text):,} characters; {LONGEST:,} are the most", hint="name a file in it instead"
        )
    if target.state.features[fid].ended == "integrated":
        raise OrchestrateError(f"{fid} is integrated: its agent is not asked again", hint=f"orchestrate logs {fid}")
