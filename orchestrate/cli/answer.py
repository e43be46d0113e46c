"""`orchestrate answer FEATURE TEXT`: words of a person for a feature's agent."""

from __future__ import annotations

from typing import Annotated

import typer

from orchestrate.cli.context import Session
from orchestrate.cli.controls import Reply, Target, find_target, send, show_reply, stamp
from orchestrate.cli.options import FeatureArgument, JsonOption, SteeredRunOption
from orchestrate.core import events as ev
from orchestrate.core.attempt import INTEGRATING, Stage
from orchestrate.core.state import RunState
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

    It gets it with its next invocation: the next rework, the next try, or when it goes on after a pause. An agent that is
    at work does not hear it before. The feature may also have failed: then `retry` comes next.

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
    words = f"the agent of {fid} in run {target.run} gets it {_when(sent.state, fid)}"
    way_on = target.typed("retry", fid) if is_lost else "" if sent.by_engine else target.typed("resume")
    reply = Reply("answer", words, sent.number, (fid,), way_on, waits_for_end=True)
    show_reply(session, target, reply, sent.state, as_json=as_json)


def _when(state: RunState, fid: str) -> str:
    """Nothing is promised that may not come: what its agent has finished may be good as it is."""
    feature = state.features[fid]
    if feature.ended is not None and fid not in state.reopening:
        return "if it is tried again"
    if not feature.active or state.attempt(fid).stopping is not None:  # what is being ended goes on later
        return "with its next invocation"
    stage = state.attempt(fid).stage
    if stage is Stage.QUEUED or stage in INTEGRATING:
        return "only if the merge sends its work back: it is verified"
    if stage in (Stage.SEALING, Stage.CHECKING):
        return "only if a check or the merge sends its work back: it has finished"
    if stage is Stage.INVOKING:
        return "with its next invocation, if there is one: it is at work, and what it is at may be its last"
    return "with its next invocation"


def _require_sense(target: Target, fid: str, text: str) -> None:
    if not text.strip():
        raise OrchestrateError("the answer is empty", hint=f"orchestrate answer {fid} 'what its agent is to be told'")
    if len(text) > LONGEST:
        raise OrchestrateError(
            f"the answer has {len(text):,} characters; {LONGEST:,} are the most", hint="name a file in it instead"
        )
    if target.state.features[fid].ended == "integrated":
        raise OrchestrateError(f"{fid} is integrated: its agent is not asked again", hint=target.typed("logs", fid))
