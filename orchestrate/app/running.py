"""Runs a plan: from a fresh start or from where an earlier engine stopped, to the report.

Invariant: nothing is written before the engine lock is held, and a report is written on every way out.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import shlex
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

from orchestrate import __version__, failpoint, process
from orchestrate.agents.drive import Patience
from orchestrate.agents.perform import AgentPerformer
from orchestrate.core import events as ev
from orchestrate.core.names import AttemptKey, integration_branch, parse_integration_branch, render_run_id
from orchestrate.core.plan import Plan
from orchestrate.core.policy import Policy
from orchestrate.core.state import RunState, evolve, fresh
from orchestrate.engine.clock import SystemClock
from orchestrate.engine.dispatch import LocalDispatcher
from orchestrate.engine.lifecycle import stop_on_signals
from orchestrate.engine.lock import Held, acquire, this_process
from orchestrate.engine.loop import Engine
from orchestrate.errors import ExitCode, OrchestrateError
from orchestrate.git.fingerprint import Fingerprint, fingerprint
from orchestrate.git.link import belongs_elsewhere
from orchestrate.git.repository import branch_holds
from orchestrate.git.runrules import require_sound
from orchestrate.git.usable import why_unusable
from orchestrate.ports import Stored
from orchestrate.spec.frozen import parse_plan, render_plan
from orchestrate.store.artifacts import StateDir, write_atomically
from orchestrate.store.database import clear_unfinished
from orchestrate.store.log import SqliteEventLog
from orchestrate.store.refusals import NoBackup
from orchestrate.supervise.orphans import end_orphans
from orchestrate.views.report import build_report, render_json, render_markdown
from orchestrate.views.report_model import Report

from .controls import Requests, paused_by
from .machine import build_health, parallel_here
from .memory import RunMemory
from .order import Order, worktrees_dir
from .performers import build_performers
from .recovery import Found, build_record, reconcile


class Follower(Protocol):
    """Shows a run while it happens."""

    def on_stored(self, stored: Stored) -> None: ...

    def say(self, text: str) -> None:
        """A line for the person who is there."""
        ...

    def leave(self, text: str) -> None:
        """The last line of all, and the terminal given back: the process ends at once."""
        ...


@dataclass(frozen=True, slots=True)
class Ran:
    """How it went. code: the exit status that says so."""

    run: str
    status: ev.RunEnd
    why: str
    report: Report
    report_file: Path
    code: ExitCode


def run_order(order: Order, follow: Callable[[str, Plan], Follower]) -> Ran:
    """Run it to its end. follow: builds the view of the run once its id is known.

    Raises OrchestrateError when another engine holds the repository.
    """
    state = StateDir(order.repository.common_dir)
    run = order.resume or _new_run_id()
    command = shlex.join(["orchestrate", *sys.argv[1:]])
    state.create()
    with (
        acquire(state.engine_lock, this_process(run=run, command=command, since=SystemClock().now())) as held,
        SqliteEventLog(state.log) as log,
    ):
        failpoint.reach("resume.orphans.before")
        end_orphans(state.runs, log.runs()[-20:])
        failpoint.reach("resume.orphans.after")
        clear_unfinished(state.log)
        doubts = []
        try:
            log.back_up(SystemClock().now())
        except NoBackup as none:
            doubts.append(ev.Warned(SystemClock().now(), "", none.message))
        known = replace(order, repository=order.repository.of_run(run))
        return _Session(known, state, log, run, held, doubts).drive(follow)


def _new_run_id() -> str:
    now = time.localtime()
    return render_run_id(*now[:6], secrets.token_hex(2))


T = TypeVar("T")


class _MayLeave:
    """A follower that may not be able to show anything any more: that ends the showing, not the agents, which are being paid for."""

    def __init__(self, follower: Follower) -> None:
        self._follower = follower
        self._is_there = True

    def on_stored(self, stored: Stored) -> None:
        self._tell(self._follower.on_stored, stored)

    def say(self, text: str) -> None:
        self._tell(self._follower.say, text)

    def leave(self, text: str) -> None:
        self._tell(self._follower.leave, text)

    def _tell(self, how: Callable[[T], None], what: T) -> None:
        if self._is_there:
            try:
                how(what)
            except OSError:  # its reader has left, or the file that it is sent to cannot be written
                self._is_there = False


class _Session:
    """One engine's time with one run."""

    def __init__(
        self, order: Order, state: StateDir, log: SqliteEventLog, run: str, held: Held, doubts: Sequence[ev.Event]
    ) -> None:
        """doubts: what is to be said right after the beginning."""
        self._doubts = doubts
        self._order, self._files, self._log, self._run = order, state, log, run
        self._held = held
        self._past = log.read(run) if order.resume else ()
        if self._past:
            started = self._past[0].event
            assert isinstance(started, ev.RunStarted), started
            self._plan, self._base = parse_plan(started.plan), started.base
            self._prefix = parse_integration_branch(started.integration_branch, run)
        else:
            self._plan, self._base = order.plan, order.base.commit
            self._prefix = order.loaded.settings.branch_prefix
        self._clock = SystemClock(self._past[-1].event.at if self._past else 0.0)
        self._parallel = parallel_here(order.loaded.settings.max_parallel)
        self._requests = Requests(log, run, self._past, self._clock)
        loaded = order.loaded
        self._memory = RunMemory(
            run, self._plan, project=loaded.project_name, context=loaded.context, rules=loaded.rules,
            ports=loaded.settings.ports.count,
        )  # fmt: skip

    def drive(self, follow: Callable[[str, Plan], Follower]) -> Ran:
        prefix = self._prefix
        before = fingerprint(self._order.repository, branch_prefix=prefix)
        follower = _MayLeave(follow(self._run, self._plan))
        state = fresh(self._run, self._plan, self._base)
        for stored in self._past:
            evolve(state, stored.event)
            self._hear(stored, follower)
        if self._past:
            record = build_record(state, self._memory.base_of)
            asyncio.run(require_sound(self._order.repository, record, branch_prefix=prefix))
        try:
            last_signal = asyncio.run(self._drive(state, follower))
        except BaseException as broken:
            with suppress(OrchestrateError, OSError):  # such as a full disk: it must not hide what ended the engine
                self._conclude(state, follower, before)
            if cause := outer_cause(broken):
                raise cause from broken
            raise
        report, is_sound = self._conclude(state, follower, before)
        assert state.ended is not None
        code = _exit_code(state.ended.status, last_signal)
        if code is ExitCode.DONE and not is_sound:
            code = ExitCode.INCOMPLETE
        return Ran(self._run, state.ended.status, state.ended.why, report, self._files.report_json(self._run), code)

    def _conclude(self, state: RunState, follower: Follower, before: Fingerprint) -> tuple[Report, bool]:
        """The report, and whether the repository is as it must be. Raises OrchestrateError or OSError where it cannot be
        written; the run is then gone on with, to no other end."""
        changed = before.differences(fingerprint(self._order.repository, branch_prefix=self._prefix))
        if changed:
            shown = ", ".join(changed[:10])
            self._warn(f"your repository changed during the run, not by orchestrate's own hand: {shown}", follower)
        is_there = self._require_result(state, follower)
        return self._write_report(), is_there and not any(is_grave(what) for what in changed)

    def _require_result(self, state: RunState, follower: Follower) -> bool:
        """Whether the integration branch holds what was integrated; somebody may have moved or deleted it since."""
        branch, head = integration_branch(self._run, self._prefix), state.integration_head
        if head == self._base or branch_holds(self._order.repository, branch, head):
            return True
        mend = f"to put it back: git branch -f {branch} {head[:12]}"
        self._warn(f"{branch} was moved or deleted and lacks what was integrated; {mend}", follower)
        return False

    def _warn(self, words: str, follower: Follower) -> None:
        for stored in self._log.append(self._run, [ev.Warned(self._clock.now(), "", words)]):
            follower.on_stored(stored)

    async def _drive(self, state: RunState, follower: Follower) -> int:
        process.prepare_loop()
        settings = self._order.loaded.settings
        policy = Policy(self._parallel, settings.limits.max_cost_usd, settings.retry_backoff_seconds)
        health = build_health(
            self._files, worktrees_dir(self._order.loaded, self._order.repository), settings, self._clock,
            partial(why_unusable, self._order.repository),
        )  # fmt: skip
        performers, agent, git = build_performers(
            self._order, self._plan, self._memory, self._clock, health,
            artifacts=self._files.artifacts(self._run), branch_prefix=self._prefix, worktrees=self._worktrees_so_far(),
        )  # fmt: skip
        async with LocalDispatcher(performers, slots=policy.max_parallel) as dispatcher:
            engine = Engine(
                state, policy, log=self._log, clock=self._clock, dispatcher=dispatcher,
                listener=lambda stored: self._hear(stored, follower),
            )  # fmt: skip
            last_words = partial(self._leave, follower)
            with stop_on_signals(
                self._run, engine.tell, self._clock, follower.say, last_words, Patience().ladder_s
            ) as signals:
                async with asyncio.TaskGroup() as beside:
                    here_since = self._clock.now()  # before anything that is found out now, so that readers can tell
                    base_of = self._memory.base_of
                    found = await reconcile(git, state, base_of, self._clock.now) if self._past else Found()
                    beginning = (*self._beginning(agent, found, here_since), *self._doubts, *found.open, *health.look())
                    others = [
                        beside.create_task(self._requests.listen(engine.tell)),
                        beside.create_task(health.watch(engine.tell)),
                    ]
                    await engine.run(*beginning)
                    for other in others:
                        other.cancel()
        return signals.last

    def _hear(self, stored: Stored, follower: Follower) -> None:
        self._memory.listen(stored.event)
        follower.on_stored(stored)

    def _beginning(self, agent: AgentPerformer, found: Found, now: float) -> Sequence[ev.Event]:
        """How this engine came to be, what was asked for before, what became of the agents of the one before it, and what
        the repository had of it that the log had not. now: since when this engine is there."""
        order, due = self._order, self._requests.due()
        engine = ev.EngineStarted(now, os.getpid(), socket.gethostname(), __version__, self._parallel)
        if self._past:
            failpoint.reach("resume.salvage.before")
            salvaged = (agent.salvage(AttemptKey(self._run, e.feature, e.attempt), e) for e in self._memory.invoking)
            resumed = (ev.ResumeRequested(now, order.by),) if order.unpause and paused_by(self._past, due) else ()
            return (*due, *salvaged, *found.settled, engine, *resumed)
        branch = integration_branch(self._run, self._prefix)
        started = ev.RunStarted(
            now, self._run, order.loaded.project_name, self._base, order.base.name, branch,
            render_plan(self._plan), __version__, order.inputs, str(order.loaded.config_path),
            json.dumps({name: value for name, value in order.flags.items() if value is not None}),
        )  # fmt: skip
        return (started, engine)

    def _leave(self, follower: Follower) -> None:
        """For a process that has no time to end its run."""
        try:
            self._write_report()
        finally:
            kept = "the log, all worktrees and the sessions of the agents are kept"
            follower.leave(f"left at once: the agents are ended; {kept}, and `orchestrate resume` goes on")

    def _worktrees_so_far(self) -> Path | None:
        """Where the worktrees of this run lie already, whatever the settings say by now; None if there are none, or if
        they are those of a repository that this one is a copy of."""
        common = self._order.repository.common_dir
        made = (Path(s.event.path) for s in reversed(self._past) if isinstance(s.event, ev.WorktreePrepared))
        ours = (path for path in made if not belongs_elsewhere(common, path))
        return next((top for path in ours if (top := path.parent.parent).is_dir()), None)

    def _write_report(self) -> Report:
        events = [stored.event for stored in self._log.read(self._run)]
        report = build_report(events, self._plan, now=self._clock.now())
        write_atomically(self._files.report_markdown(self._run), render_markdown(report))
        write_atomically(self._files.report_json(self._run), render_json(report))  # last: where it is, both are
        return report


def outer_cause(broken: BaseException) -> OrchestrateError | OSError | None:
    """What a person is to be told of an engine that broke off, where that is no defect: one of several tasks met it."""
    if isinstance(broken, BaseExceptionGroup):
        return next((found for inner in broken.exceptions if (found := outer_cause(inner))), None)
    return broken if isinstance(broken, OrchestrateError | OSError) else None


def is_grave(what: str) -> bool:
    """Whether a change of the repository (Fingerprint.differences) lets other programs run, or git behave otherwise. People
    commit and switch branches during a run; its configuration, hooks and attributes they leave alone."""
    return what.split(" ", maxsplit=1)[0].split("/", maxsplit=1)[0] in ("config", "config.worktree", "hooks", "info")


def _exit_code(status: ev.RunEnd, last_signal: int) -> ExitCode:
    match status:
        case "done":
            return ExitCode.DONE
        case "limit":
            return ExitCode.LIMIT
        case "interrupted":
            return ExitCode.TERMINATED if last_signal in (signal.SIGTERM, signal.SIGHUP) else ExitCode.INTERRUPTED
        case "incomplete" | "halted":
            return ExitCode.INCOMPLETE
