"""`orchestrate history`: all runs of this repository, newest first."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from orchestrate.cli.context import Session
from orchestrate.cli.options import JsonOption, whole_number
from orchestrate.cli.recorded import Recorded, open_recorded, plan_of
from orchestrate.cli.spans import render_toned
from orchestrate.core.names import PRIVATE_REFS
from orchestrate.engine.clock import SystemClock
from orchestrate.engine.lock import owner
from orchestrate.errors import OrchestrateError
from orchestrate.git.run import build_git
from orchestrate.views.figures import count_of, render_duration, render_money
from orchestrate.views.rows import Tone
from orchestrate.views.run import RunView, build_view
from orchestrate.views.summary import elapsed_s
from orchestrate.views.text import clean, columns, display_width

HISTORY_SCHEMA = "orchestrate/history/v1"
SHOWN = 20
"""Runs that are listed unless more are asked for: each costs a walk through its log."""

HEAD = ("run", "started", "status", "features", "cost", "time", "next", "kept")
DROPPED_FIRST = ("started", "time", "kept", "cost", "next", "features")
"""What a narrow terminal does without, in this order; the id of a run begins with its date and time."""

_WORDS: dict[str, tuple[str, Tone]] = {
    "running": ("◐ running", "busy"),
    "broken_off": ("✗ broken off", "bad"),
    "done": ("✓ done", "good"),
    "incomplete": ("✗ incomplete", "bad"),
    "limit": ("○ limit", "caution"),
    "interrupted": ("○ interrupted", "caution"),
    "halted": ("✗ halted", "bad"),
    "paused": ("‖ paused", "caution"),
    "unreadable": ("? unreadable", "bad"),
}


@dataclass(frozen=True, slots=True)
class Past:
    """One run in the list. wall_s: seconds in which an engine drove it. way_on: the command that goes on with it, empty
    where nothing is left to do. live_cost_usd: what agents that have not ended say they have used, on top. worktrees, branches, saved: how many of its worktrees, its branches and its private refs
    are still there."""

    run: str
    status: str
    started_at: float = 0.0
    integrated: int = 0
    features: int = 0
    cost_usd: float = 0.0
    live_cost_usd: float = 0.0
    estimated: bool = False
    wall_s: float = 0.0
    branch: str = ""
    way_on: str = ""
    worktrees: int = 0
    branches: int = 0
    saved: int = 0

    @property
    def kept(self) -> str:
        """`5 worktrees`, or, once they are gone, `7 branches, recoverable`: the latter where something was saved, too."""
        if self.worktrees:
            return count_of(self.worktrees, "worktree")
        left = [count_of(self.branches, "branch", "branches")] if self.branches else []
        return ", ".join([*left, *(["recoverable"] if self.saved else [])])


def history(
    session: Session,
    limit: Annotated[
        int,
        typer.Option("--limit", "-n", metavar="N", parser=whole_number(1, 1_000_000), help="How many runs at most."),
    ] = SHOWN,
    as_json: JsonOption = False,
) -> None:
    """All runs of this repository, newest first.

    \b
      orchestrate history             the newest twenty
      orchestrate history -n 3        only so many
      orchestrate history --json      for programs
    """
    now = SystemClock().now()
    with open_recorded(session.start, session.environ) as recorded:
        driver = owner(recorded.state.engine_lock)
        driven = driver.run if driver else ""
        runs = list(reversed(recorded.log.runs()))
        there = _names_of_refs(session, recorded)
        past = [_look_at(recorded, run, driven, now, there) for run in runs[:limit]]
    if as_json:
        session.printer.document({"schema": HISTORY_SCHEMA, "total": len(runs), "runs": [_document(p) for p in past]})
        return
    if not past:
        session.printer.say("nothing has been run in this repository yet")
        return
    out = session.printer.out
    lines = render_table(past, width=out.width if out.is_terminal else None)
    out.line(out.paint(lines[0], "dim"))
    for line, p in zip(lines[1:], past, strict=True):
        word, tone = _WORDS[p.status]
        out.line(line.replace(word, render_toned(out, word, tone), 1))
    if len(runs) > len(past):
        session.printer.say(f"… {len(runs) - len(past)} older; all of them: orchestrate history -n {len(runs)}")


def _names_of_refs(session: Session, recorded: Recorded) -> frozenset[str]:
    """Full names of all branches, and of the private refs of all runs."""
    if not recorded.log.runs():
        return frozenset()
    git = build_git(session.start, session.environ)
    done = git.run_now("for-each-ref", "--format=%(refname)", "refs/heads/", f"{PRIVATE_REFS}/")
    return frozenset(os.fsdecode(done.stdout).split("\n"))


def _look_at(recorded: Recorded, run: str, driven: str, now: float, there: frozenset[str]) -> Past:
    """A log that cannot be read (a newer version wrote it, say) must not hide the others."""
    try:
        events = recorded.events(run)
        view = build_view(plan_of(events), (stored.event for stored in events))
    except OrchestrateError:
        return Past(run, "unreadable")
    is_driven = driven == run
    attempts = [attempt for feature in view.features.values() for attempt in feature.attempts]
    branches = {f"refs/heads/{name}" for name in (view.integration_branch, *(a.branch for a in attempts)) if name}
    return Past(
        run=run,
        status=_status_of(view, is_driven=is_driven),
        way_on=_way_on(view, is_driven=is_driven),
        worktrees=sum(bool(attempt.path) and Path(attempt.path).is_dir() for attempt in attempts),
        branches=len(branches & there),
        saved=sum(ref.startswith(f"{PRIVATE_REFS}/{run}/") for ref in there),
        started_at=view.started_at,
        integrated=view.count("integrated"),
        features=len(view.features),
        cost_usd=view.cost_usd,
        live_cost_usd=view.live_cost_usd,
        estimated=view.cost_estimated,
        wall_s=elapsed_s(view, now if is_driven else view.last_at),
        branch=view.integration_branch,
    )


def _status_of(view: RunView, *, is_driven: bool) -> str:
    if view.status != "running":
        return view.status
    return "broken_off" if not is_driven else "paused" if view.holds else "running"


def _way_on(view: RunView, *, is_driven: bool) -> str:
    """`resume` or `retry`; neither while it goes on, nor when all is integrated."""
    if view.status == "running" and is_driven:
        return "resume" if any(pause.cause == "operator" for pause in view.holds.open) else ""
    return {"done": "", "incomplete": "retry"}.get(view.status, "resume")


def render_table(past: Sequence[Past], *, width: int | None) -> list[str]:
    """Head and rows. width: columns that there are, None for any; figures are left out before a line would be broken."""
    table = [HEAD, *(_cells(p) for p in past)]
    for count in range(len(DROPPED_FIRST) + 1):
        shown = [number for number, name in enumerate(HEAD) if name not in DROPPED_FIRST[:count]]
        right = [at for at, number in enumerate(shown) if HEAD[number] in ("features", "cost", "time")]
        lines = columns([[row[number] for number in shown if number < len(row)] for row in table], right=right)
        if width is None or count == len(DROPPED_FIRST) or max(map(display_width, lines)) <= width:
            return lines
    raise AssertionError


def _cells(past: Past) -> tuple[str, ...]:
    if not past.started_at:
        return (clean(past.run), "", _WORDS[past.status][0])
    return (
        clean(past.run),
        time.strftime("%Y-%m-%d %H:%M", time.localtime(past.started_at)),
        _WORDS[past.status][0],
        f"{past.integrated}/{past.features}",
        render_money(past.cost_usd + past.live_cost_usd, estimated=past.estimated),
        render_duration(past.wall_s),
        past.way_on,
        past.kept,
    )


def _document(past: Past) -> dict[str, Any]:
    """Times in UTC, ISO 8601; money in US dollars, durations in seconds."""
    started = datetime.fromtimestamp(past.started_at, UTC).isoformat(timespec="seconds") if past.started_at else None
    return {
        "run": past.run,
        "status": past.status,
        "started": started,
        "integrated": past.integrated,
        "features": past.features,
        "cost_usd": round(past.cost_usd, 6),
        "cost_estimated": past.estimated,
        "live_cost_usd": round(past.live_cost_usd, 6),
        "elapsed_s": round(past.wall_s, 3),
        "integration_branch": past.branch,
        "goes_on_by": past.way_on,
        "worktrees": past.worktrees,
        "branches": past.branches,
        "recoverable": past.saved,
        "cleaned_up": not (past.worktrees or past.branches),
    }
