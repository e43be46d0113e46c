"""Which runs can be gone on with, and what the newest one left.

Invariant: reads only; works while an engine writes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from orchestrate.core import events as ev
from orchestrate.core.plan import Feature, Plan
from orchestrate.errors import OrchestrateError
from orchestrate.git.repository import open_repository
from orchestrate.spec.frozen import parse_plan
from orchestrate.store.artifacts import StateDir
from orchestrate.store.log import SqliteEventLog
from orchestrate.views.report import moment


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A run that can be gone on with. inputs: digest of what it was made of. config: path of its feature list, flags: the
    settings given when it was started; what these limit must hold for every engine of the run. base: commit id."""

    run: str
    inputs: str
    started: float
    ended: ev.RunEnded | None
    plan: str
    config: str
    flags: Mapping[str, object]
    base: str


def last_run(state: StateDir) -> Unfinished | None:
    """The newest run if it is unfinished: cut off, stopped by a person or by a limit, or to be tried again."""
    with SqliteEventLog(state.log, read_only=True) as log:
        runs = log.runs()
        return _unfinished(state, log, runs[-1]) if runs else None


def last_unfinished_run(state: StateDir) -> Unfinished | None:
    """The newest of all unfinished runs: a later one may have been started beside it."""
    with SqliteEventLog(state.log, read_only=True) as log:
        return next((found for run in reversed(log.runs()) if (found := _unfinished(state, log, run))), None)


def forgotten_runs(state: StateDir) -> list[str]:
    """Runs whose agents have left something here, but of which the log knows nothing: it was lost, or put aside."""
    with SqliteEventLog(state.log, read_only=True) as log:
        known = set(log.runs())
    return sorted(
        directory.name
        for directory in state.runs.glob("*")
        if directory.name not in known and any(state.artifacts(directory.name).glob("*"))
    )


def unfinished_run(state: StateDir, run: str) -> Unfinished | None:
    """That very run; None if it is over."""
    with SqliteEventLog(state.log, read_only=True) as log:
        return _unfinished(state, log, run)


def begun_run(state: StateDir, run: str) -> Unfinished:
    """That very run as it was begun, also when it is over. Raises OrchestrateError when the log lacks its beginning."""
    with SqliteEventLog(state.log, read_only=True) as log:
        found = _begun(log, run, _last_word(log, run))
    if found is None:
        raise OrchestrateError(f"the log of run {run} has no beginning; it cannot be gone on with")
    return found


def _unfinished(state: StateDir, log: SqliteEventLog, run: str) -> Unfinished | None:
    """A run whose engine died between its end and its report is gone on with too: else it would be run all over again."""
    last = _last_word(log, run)
    is_over = isinstance(last, ev.RunEnded) and last.status in ("done", "incomplete") and _has_report(state, run, last)
    return None if is_over else _begun(log, run, last)


def _has_report(state: StateDir, run: str, end: ev.Event) -> bool:
    """Of that very end: a run that was gone on with, or tried again, may still have the one of an earlier engine. One that
    cannot be read, which is not how ours are left, is nothing to go on for."""
    try:
        told = json.loads(state.report_json(run).read_bytes())
        return bool(told["run"]["ended_at"] == moment(end.at))
    except FileNotFoundError:
        return False
    except (OSError, ValueError, LookupError, TypeError):
        return True


def _last_word(log: SqliteEventLog, run: str) -> ev.Event | None:
    """What the rules said last; or that somebody wants another try since."""
    last = log.last(run)
    if last is None or not _is_aside(last.event):
        return last.event if last else None
    return next((s.event for s in reversed(log.read(run)) if not _is_aside(s.event)), None)


def _is_aside(event: ev.Event) -> bool:
    """What may be said after the end of a run, and does not open it again."""
    return isinstance(event, ev.Warned | ev.Control | ev.StopRequested) and not isinstance(event, ev.RetryRequested)


def _begun(log: SqliteEventLog, run: str, last: ev.Event | None) -> Unfinished | None:
    first = log.first(run)
    if first is None or not isinstance(first.event, ev.RunStarted):
        return None
    begun = first.event
    flags = json.loads(begun.flags) if begun.flags else {}
    end = last if isinstance(last, ev.RunEnded) else None
    return Unfinished(run, begun.inputs, begun.at, end, begun.plan, begun.config, flags, begun.base)


def changes_since(begun: Unfinished, plan: Plan) -> str:
    """What has changed in what the run was made of, in words. plan: that of today; begun.inputs differs from its digest."""
    then, now = parse_plan(begun.plan).features, plan.features
    told = (
        ("differs", "differ", [fid for fid in then if fid in now and not _is_same(then[fid], now[fid])]),
        ("is new", "are new", [fid for fid in now if fid not in then]),
        ("is gone", "are gone", [fid for fid in then if fid not in now]),
    )
    parts = [f"{_some(fids)} {one if len(fids) == 1 else many}" for one, many, fids in told if fids]
    return ", ".join(parts) or "the settings, the context or what was selected differ"


def _is_same(then: Feature, now: Feature) -> bool:
    """But for the estimate, which learns from every run."""
    return replace(then, estimate=now.estimate) == now


def _some(fids: Sequence[str], most: int = 4) -> str:
    return ", ".join(fids[:most]) + (f" and {len(fids) - most} more" if len(fids) > most else "")


def newest_result(directory: Path, environ: Mapping[str, str]) -> tuple[str, Path]:
    """Integration branch and report file of the repository's newest run."""
    state = StateDir(open_repository(directory, environ=environ).common_dir)
    with SqliteEventLog(state.log, read_only=True) as log:
        run = log.runs()[-1]
        first = log.first(run)
    assert first is not None and isinstance(first.event, ev.RunStarted)
    return first.event.integration_branch, state.report_json(run)
