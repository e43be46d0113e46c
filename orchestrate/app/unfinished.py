"""Which runs can be gone on with, and what the newest one left.

Invariant: reads only; works while an engine writes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from orchestrate.core import events as ev
from orchestrate.git.repository import open_repository
from orchestrate.store.artifacts import StateDir
from orchestrate.store.log import SqliteEventLog


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A run that can be gone on with. inputs: digest of what it was made of. config: path of its feature list, flags: the
    settings given when it was started; what these limit must hold for every engine of the run."""

    run: str
    inputs: str
    started: float
    ended: ev.RunEnded | None
    plan: str
    config: str
    flags: Mapping[str, object]


def last_run(state: StateDir) -> Unfinished | None:
    """The newest run if it is unfinished: cut off, stopped by a person or by a limit."""
    with SqliteEventLog(state.log, read_only=True) as log:
        runs = log.runs()
        return _unfinished(state, log, runs[-1]) if runs else None


def last_unfinished_run(state: StateDir) -> Unfinished | None:
    """The newest of all unfinished runs: a later one may have been started beside it."""
    with SqliteEventLog(state.log, read_only=True) as log:
        return next((found for run in reversed(log.runs()) if (found := _unfinished(state, log, run))), None)


def _unfinished(state: StateDir, log: SqliteEventLog, run: str) -> Unfinished | None:
    """A run whose engine died between its end and its report is gone on with too: else it would be run all over again."""
    first, last = log.first(run), log.last(run)
    if first is None or not isinstance(first.event, ev.RunStarted):
        return None
    ended = last.event if last else None
    if isinstance(ended, ev.Warned):  # said after the end, such as that the repository was changed meanwhile
        ended = next((s.event for s in reversed(log.read(run)) if not isinstance(s.event, ev.Warned)), None)
    is_over = isinstance(ended, ev.RunEnded) and ended.status in ("done", "incomplete")
    if is_over and state.report_json(run).exists():
        return None
    begun = first.event
    flags = json.loads(begun.flags) if begun.flags else {}
    end = ended if isinstance(ended, ev.RunEnded) else None
    return Unfinished(run, begun.inputs, begun.at, end, begun.plan, begun.config, flags)


def newest_result(directory: Path, environ: Mapping[str, str]) -> tuple[str, Path]:
    """Integration branch and report file of the repository's newest run."""
    state = StateDir(open_repository(directory, environ=environ).common_dir)
    with SqliteEventLog(state.log, read_only=True) as log:
        run = log.runs()[-1]
        first = log.first(run)
    assert first is not None and isinstance(first.event, ev.RunStarted)
    return first.event.integration_branch, state.report_json(run)
