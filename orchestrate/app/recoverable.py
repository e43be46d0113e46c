"""Everything that can be brought back, of all runs: what git has of attempts, with what the log says of them.

Invariant: reads only. A run that the log does not know, or whose log cannot be read, is listed all the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from orchestrate.core import events as ev
from orchestrate.core.names import DEFAULT_PREFIX, AttemptKey, parse_integration_branch
from orchestrate.errors import OrchestrateError
from orchestrate.git.recover import Recoverable, find_recoverable
from orchestrate.git.repository import Repository
from orchestrate.store.log import SqliteEventLog

Standing = ev.Outcome | Literal["unfinished", "unknown"]
"""How the attempt ended; that it has not; that the log does not know it."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One attempt of which something is left. at: when it ended, else when it was last changed; Unix seconds."""

    item: Recoverable
    standing: Standing
    at: float

    @property
    def is_kept(self) -> bool:
        """Everything of it is in a branch that stays."""
        return bool(self.item.held_by)

    @property
    def is_empty(self) -> bool:
        """Its agent had changed nothing."""
        item = self.item
        return not (item.commits or item.changed or item.uncommitted or item.problem)


@dataclass(slots=True)
class _Known:
    """What the log says of the attempts of some runs."""

    prefixes: set[str] = field(default_factory=lambda: {DEFAULT_PREFIX})
    bases: dict[AttemptKey, str] = field(default_factory=dict)
    standing: dict[AttemptKey, Standing] = field(default_factory=dict)
    at: dict[AttemptKey, float] = field(default_factory=dict)

    def add(self, run: str, event: ev.Event) -> None:
        match event:
            case ev.RunStarted():
                self.prefixes.add(parse_integration_branch(event.integration_branch, run))
            case ev.AttemptStarted():
                self.standing[AttemptKey(run, event.feature, event.attempt)] = "unfinished"
            case ev.WorktreePrepared():
                self.bases[AttemptKey(run, event.feature, event.attempt)] = event.base
            case ev.AttemptEnded():
                key = AttemptKey(run, event.feature, event.attempt)
                self.standing[key], self.at[key] = event.outcome, event.at
            case _:
                pass


def list_entries(repository: Repository, log: SqliteEventLog, *, branch_prefix: str) -> tuple[Entry, ...]:
    """Newest first. Raises GitError."""
    known = _Known()
    known.prefixes.add(branch_prefix)
    for run in log.runs():
        try:
            events = log.read(run)
        except OrchestrateError:
            continue  # of a newer version, or damaged: what git has of it is there all the same
        for stored in events:
            known.add(run, stored.event)
    items = asyncio.run(find_recoverable(repository, prefixes=sorted(known.prefixes), bases=known.bases))
    entries = [
        Entry(item, known.standing.get(item.key, "unknown"), known.at.get(item.key, float(item.at))) for item in items
    ]
    return tuple(sorted(entries, key=lambda e: (-e.at, e.item.key.run, e.item.key.feature, -e.item.key.attempt)))


def pick(entries: Sequence[Entry], feature: str, attempt: int | None, run: str) -> Entry:
    """The one that is meant: of the only run that has this feature to bring back, its newest attempt unless one is named.

    run: its id; empty for any. Raises OrchestrateError with what there is.
    """
    found = [e for e in entries if e.item.key.feature == feature and run in ("", e.item.key.run)]
    if not found:
        known = sorted({e.item.key.feature for e in entries if run in ("", e.item.key.run)})
        near = f"there is something of: {', '.join(known[:8])}" if known else "see them all: orchestrate recover --all"
        where = f" in run {run}" if run else ""
        raise OrchestrateError(f"nothing of feature '{feature}' can be brought back{where}", hint=near)
    open_ones = [e for e in found if not (e.is_kept or e.is_empty)] or [e for e in found if not e.is_empty] or found
    runs = sorted({e.item.key.run for e in open_ones}, reverse=True)
    if len(runs) > 1:
        raise OrchestrateError(
            f"{len(runs)} runs have something of feature '{feature}'",
            hint="say which: --run " + ", --run ".join(runs[:5]),
        )
    of_run = [e for e in found if e.item.key.run == runs[0]]
    chosen = [e for e in of_run if attempt in (None, e.item.key.attempt)]
    if not chosen:
        numbers = ", ".join(f"{feature}@{n}" for n in sorted(e.item.key.attempt for e in of_run))
        raise OrchestrateError(f"nothing of attempt {attempt} at '{feature}' is left", hint=f"there is: {numbers}")
    newest = max(chosen, key=lambda e: e.item.key.attempt)
    if newest.item.problem:
        raise OrchestrateError(f"{newest.item.key} cannot be brought back: {newest.item.problem}")
    return newest
