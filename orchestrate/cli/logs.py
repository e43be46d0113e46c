"""`orchestrate logs FEATURE`: what an agent said and did in one attempt, also while it does it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Annotated

import typer

from orchestrate.cli.context import Session
from orchestrate.cli.options import FeatureArgument, RunOption
from orchestrate.cli.printer import Stream
from orchestrate.cli.recorded import Recorded, find_feature, open_recorded, plan_of
from orchestrate.core import events as ev
from orchestrate.core.names import AttemptKey
from orchestrate.engine.lock import owner
from orchestrate.errors import ExitCode, OrchestrateError
from orchestrate.ports import Stored
from orchestrate.views.figures import render_duration
from orchestrate.views.story import CheckRound, Invocation, Story, stories
from orchestrate.views.text import clean, clean_block
from orchestrate.views.transcript import Piece, parse_transcript_line

LOOK_EVERY_S = 0.25
"""How often a live transcript is looked at, seconds."""
_CHUNK = 1 << 20
_STYLES = {"tool": ("cyan",), "fault": ("red",), "end": ("bold",)}
_LEADS = {"tool": "→ ", "answer": "    ", "fault": "  ✗ ", "note": "· ", "thought": "  ", "begin": "── ", "end": "── "}


def logs(
    session: Session,
    feature: FeatureArgument,
    run: RunOption = None,
    attempt: Annotated[
        int | None, typer.Option("--attempt", "-n", metavar="N", min=1, help="Which attempt. [default: the last]")
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Stay until the attempt has ended.")] = False,
    raw: Annotated[bool, typer.Option("--raw", help="The agent's own lines, as it printed them.")] = False,
    checks: Annotated[bool, typer.Option("--checks", help="What the checks printed, instead.")] = False,
) -> ExitCode:
    """What an agent said and did.

    \b
      orchestrate logs api            the last attempt at feature api
      orchestrate logs api -f         the same, live
      orchestrate logs api --checks   why its checks failed
    """
    with open_recorded(session.start, session.environ) as recorded:
        run = recorded.find_run(run)
        events = recorded.events(run)
        fid = find_feature(plan_of(events), feature)
        reader = _Reader(recorded, run, fid, _choose(events, fid, attempt), session)
        if raw:
            reader.show = _raw_writer(session.printer.out)
            reader.with_words = False
        if checks:
            reader.show_checks()
        else:
            reader.read(follow=follow)
    return ExitCode.DONE


def _choose(events: list[Stored] | tuple[Stored, ...] | object, fid: str, attempt: int | None) -> Story:
    assert isinstance(events, list | tuple)
    told = stories((stored.event for stored in events), fid)
    if not told:
        raise OrchestrateError(f"feature {fid} has not been started in this run", hint="orchestrate status")
    for story in told:
        if attempt in (None, story.attempt) and (attempt is not None or story is told[-1]):
            return story
    tries = ", ".join(str(story.attempt) for story in told)
    raise OrchestrateError(f"feature {fid} has no attempt {attempt} in this run", hint=f"there is: {tries}")
