"""What a reading command is about: finds the repository's log, the run and the feature that were meant.

Invariant: creates nothing, asks git for one path only, and works while an engine writes, in a read-only repository and
from inside a worktree of a run.
"""

from __future__ import annotations

import contextlib
import difflib
import os
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrate.core import events as ev
from orchestrate.core.plan import Plan
from orchestrate.errors import OrchestrateError
from orchestrate.git.run import GitError, build_git
from orchestrate.ports import Stored
from orchestrate.store.artifacts import StateDir
from orchestrate.store.log import SqliteEventLog
from orchestrate.views.controls import Request
from orchestrate.views.text import clean


@dataclass(frozen=True, slots=True)
class Recorded:
    """One repository's past and present, for reading. Use open_recorded."""

    state: StateDir
    log: SqliteEventLog

    def find_run(self, given: str | None = None) -> str:
        """Id of the run that was meant: the newest, or the one that the text begins (or its last four signs are), or the
        n-th newest for `@n`.

        Raises OrchestrateError when there is none, or several.
        """
        runs = self.log.runs()
        if not runs:
            raise OrchestrateError("nothing has been run in this repository yet", hint="orchestrate run")
        if not given:
            return runs[-1]
        return match_run(given, runs)

    def is_newest(self, run: str) -> bool:
        """Whether commands mean this run when none is named."""
        return self.log.runs()[-1:] == [run]

    def events(self, run: str) -> Sequence[Stored]:
        return self.log.read(run)

    def pending(self, run: str, after: int) -> Sequence[Request]:
        """What was asked of the run and is not in its log yet. after: number of the newest request that is."""
        return [event for _, event in self.log.requests(run, after) if isinstance(event, Request)]


@contextlib.contextmanager
def open_recorded(start: Path, environ: Mapping[str, str]) -> Iterator[Recorded]:
    """The log of the repository that `start` lies in. Raises OrchestrateError outside of one."""
    state = StateDir(common_git_dir(start, environ))
    with SqliteEventLog(state.log, read_only=True) as log:
        yield Recorded(state, log)


def common_git_dir(start: Path, environ: Mapping[str, str]) -> Path:
    """Where all checkouts of the repository keep what they share."""
    try:
        done = build_git(start, environ).run_now("rev-parse", "--path-format=absolute", "--git-common-dir")
    except GitError as failed:
        if "not a git repository" in failed.words:
            raise OrchestrateError(
                f"{start} is not inside a git repository", hint="go to one, or name it with -C DIR"
            ) from failed
        raise
    except OSError as missing:
        raise OrchestrateError("git cannot be started", hint="install git 2.38 or newer") from missing
    return Path(os.fsdecode(done.stdout.removesuffix(b"\n")))


def started(events: Sequence[Stored]) -> ev.RunStarted:
    """How the run began. Raises OrchestrateError when its log lacks that."""
    for stored in events:
        if isinstance(stored.event, ev.RunStarted):
            return stored.event
    raise OrchestrateError("the log of this run has no beginning; it cannot be shown")


def plan_of(events: Sequence[Stored]) -> Plan:
    """The plan that the run was started with."""
    from orchestrate.spec.frozen import parse_plan

    return parse_plan(started(events).plan)


def find_feature(plan: Plan, given: str, run: str = "the run") -> str:
    """The feature's id as the plan spells it. run: in words. Raises OrchestrateError with the nearest ids."""
    if given in plan.features:
        return given
    by_fold = {fid.casefold(): fid for fid in plan.features}
    if given.casefold() in by_fold:
        return by_fold[given.casefold()]
    raise OrchestrateError(
        f"{run} has no feature '{clean(given)}'", hint=_nearest(given, list(plan.features), "orchestrate status")
    )


def match_run(
    given: str, runs: Sequence[str], others: Collection[str] = (), *, listing: str = "orchestrate history"
) -> str:
    """The run that the text begins, whose last four signs it is, or the n-th newest of `runs` for `@n`.

    runs: those in the log, oldest first. others: ids that are known from elsewhere. listing: the command that shows them.
    Raises OrchestrateError when there is none, or several.
    """
    if given.startswith("@"):
        return _counted_back(runs, given)
    known = [*sorted(set(others).difference(runs)), *runs]
    found = [run for run in known if run == given] or [run for run in known if run.startswith(given)]
    found = found or [run for run in known if run.endswith(f"-{given}")]
    if len(found) == 1:
        return found[0]
    if found:
        raise OrchestrateError(
            f"{len(found)} runs begin with '{clean(given)}'", hint="say which: " + ", ".join(reversed(found[-5:]))
        )
    raise OrchestrateError(f"there is no run '{clean(given)}'", hint=_nearest(given, known, listing))


def parse_attempt(given: str) -> tuple[str, int | None]:
    """`api@2` → the feature and the attempt; None where there is no `@`. Raises OrchestrateError."""
    name, at, number = given.rpartition("@")
    if not at:
        return given, None
    if not re.fullmatch(r"[1-9][0-9]{0,5}", number):
        raise OrchestrateError(f"'{clean(given)}' names no attempt", hint=f"such as: {clean(name) or 'api'}@1")
    return name, int(number)


def _counted_back(runs: Sequence[str], given: str) -> str:
    number = int(given[1:]) if given[1:].isdecimal() and given.isascii() and len(given) < 10 else 0
    if not 1 <= number <= len(runs):
        known = ("none is in the log", "there is only @1", f"@1 is the newest, @{len(runs)} the oldest")
        hint = known[min(len(runs), 2)]
        raise OrchestrateError(f"there is no run '{clean(given)}'", hint=hint)
    return runs[-number]


def _nearest(given: str, known: Sequence[str], listing: str) -> str:
    near = difflib.get_close_matches(given, known, 3)
    return f"did you mean {' or '.join(near)}?" if near else f"{listing} lists them"
