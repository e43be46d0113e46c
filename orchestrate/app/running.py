"""Runs a plan: from a fresh start or from where an earlier engine stopped, to the report.

Invariant: nothing is written before the engine lock is held, and a report is written on every way out.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import shlex
import socket
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol, TypeVar, get_args

from orchestrate import __version__, process
from orchestrate.agents.drive import Patience
from orchestrate.agents.perform import AgentPerformer
from orchestrate.agents.settings import AgentSettings, ClaudeSettings, ScriptedSettings
from orchestrate.core import effects as fx
from orchestrate.core import events as ev
from orchestrate.core.names import AttemptKey, integration_branch, parse_integration_branch, render_run_id
from orchestrate.core.plan import Plan
from orchestrate.core.policy import Policy
from orchestrate.core.state import RunState, evolve, fresh
from orchestrate.engine.clock import SystemClock
from orchestrate.engine.dispatch import LocalDispatcher
from orchestrate.engine.lifecycle import end_orphans, stop_on_signals
from orchestrate.engine.lock import Held, acquire, this_process
from orchestrate.engine.loop import Engine
from orchestrate.errors import ExitCode
from orchestrate.git.fingerprint import fingerprint
from orchestrate.git.perform import GitPerformer
from orchestrate.git.repository import Base, Repository, branch_holds, open_repository
from orchestrate.git.settings import GitSettings
from orchestrate.ports import Performer, Stored
from orchestrate.redact import Redactor, secret_values
from orchestrate.spec.frozen import parse_plan, render_plan
from orchestrate.spec.load import Loaded
from orchestrate.store.artifacts import StateDir, write_atomically
from orchestrate.store.log import SqliteEventLog
from orchestrate.verify.perform import VerifyPerformer
from orchestrate.verify.settings import VerifySettings
from orchestrate.views.report import build_report, render_json, render_markdown
from orchestrate.views.report_model import Report

from .memory import RunMemory


class Follower(Protocol):
    """Shows a run while it happens."""

    def on_stored(self, stored: Stored) -> None: ...

    def say(self, text: str) -> None:
        """A line for the person who is there."""
        ...


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be run. resume: the run to go on with; plan and base then come from its log."""

    loaded: Loaded
    repository: Repository
    plan: Plan
    base: Base
    inputs: str
    environ: Mapping[str, str]
    resume: str = ""
    flags: Mapping[str, object] = field(default_factory=dict)
    """Settings given on the command line, by setting name."""


@dataclass(frozen=True, slots=True)
class Ran:
    """How it went. code: the exit status that says so."""

    run: str
    status: ev.RunEnd
    why: str
    report: Report
    report_file: Path
    code: ExitCode


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


def agent_settings(loaded: Loaded, repository: Repository, artifacts: Path) -> AgentSettings:
    """The agents' slice of the settings."""
    s = loaded.settings
    return AgentSettings(
        worktrees=worktrees_dir(loaded, repository),
        artifacts=artifacts,
        claude=ClaudeSettings(
            command=(s.claude.command,) if "/" in s.claude.command else tuple(shlex.split(s.claude.command)),
            permission_mode=s.claude.permission_mode,
            allowed_tools=s.claude.allowed_tools,
            disallowed_tools=s.claude.disallowed_tools,
            fallback_model=s.claude.fallback_model,
            pass_env=s.claude.pass_env,
            args=s.claude.args,
        ),
        scripted=ScriptedSettings(s.scripted.script),
        template=Path(s.prompts.template) if s.prompts.template else None,
        max_turns=s.limits.max_turns,
        patience=Patience(stall_s=s.limits.stall_seconds),
    )


def worktrees_dir(loaded: Loaded, repository: Repository) -> Path:
    """Where the worktrees go, absolute."""
    given = loaded.settings.worktrees_dir
    return (repository.toplevel / Path(given).expanduser()).resolve() if given else repository.default_worktrees_dir


def run_order(order: Order, follow: Callable[[str, Plan], Follower]) -> Ran:
    """Run it to its end. follow: builds the view of the run once its id is known.

    Raises OrchestrateError when another engine holds the repository.
    """
    state = StateDir(order.repository.common_dir)
    clock = SystemClock()
    run = order.resume or _new_run_id()
    command = shlex.join(["orchestrate", *sys.argv[1:]])
    state.create()
    with (
        acquire(state.engine_lock, this_process(run=run, command=command, since=clock.now())) as held,
        SqliteEventLog(state.log) as log,
    ):
        end_orphans(log.runs()[-20:])
        return _Session(order, state, log, clock, run, held).drive(follow)


def _new_run_id() -> str:
    now = time.localtime()
    return render_run_id(*now[:6], secrets.token_hex(2))


T = TypeVar("T")


class _MayLeave:
    """A follower whose reader may close the pipe: that ends the showing, not the agents, which are being paid for."""

    def __init__(self, follower: Follower) -> None:
        self._follower = follower
        self._is_there = True

    def on_stored(self, stored: Stored) -> None:
        self._tell(self._follower.on_stored, stored)

    def say(self, text: str) -> None:
        self._tell(self._follower.say, text)

    def _tell(self, how: Callable[[T], None], what: T) -> None:
        if self._is_there:
            try:
                how(what)
            except BrokenPipeError:
                self._is_there = False


class _Session:
    """One engine's time with one run."""

    def __init__(
        self, order: Order, state: StateDir, log: SqliteEventLog, clock: SystemClock, run: str, held: Held
    ) -> None:
        self._order, self._files, self._log, self._clock, self._run = order, state, log, clock, run
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
        try:
            last_signal = asyncio.run(self._drive(state, follower))
        finally:
            changed = before.differences(fingerprint(self._order.repository, branch_prefix=prefix))
            if changed:
                shown = ", ".join(changed[:10])
                self._warn(f"your repository changed during the run, not by orchestrate's own hand: {shown}", follower)
            is_there = self._require_result(state, follower)
            report = self._write_report()
        assert state.ended is not None
        code = _exit_code(state.ended.status, last_signal)
        if code is ExitCode.DONE and (not is_there or any(is_grave(what) for what in changed)):
            code = ExitCode.INCOMPLETE
        return Ran(self._run, state.ended.status, state.ended.why, report, self._files.report_json(self._run), code)

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
        policy = Policy(settings.max_parallel, settings.limits.max_cost_usd, settings.retry_backoff_seconds)
        performers, agent = self._performers()
        async with LocalDispatcher(performers, slots=policy.max_parallel) as dispatcher:
            engine = Engine(
                state, policy, log=self._log, clock=self._clock, dispatcher=dispatcher,
                listener=lambda stored: self._hear(stored, follower),
            )  # fmt: skip
            with stop_on_signals(self._run, engine.tell, self._clock, follower.say, self._write_report) as signals:
                await engine.run(*self._beginning(agent))
        return signals.last

    def _hear(self, stored: Stored, follower: Follower) -> None:
        self._memory.listen(stored.event)
        follower.on_stored(stored)

    def _beginning(self, agent: AgentPerformer) -> Sequence[ev.Event]:
        """How this engine came to be, and what became of the agents of the one before it."""
        order, now = self._order, self._clock.now()
        parallel = order.loaded.settings.max_parallel
        engine = ev.EngineStarted(now, os.getpid(), socket.gethostname(), __version__, parallel)
        if self._past:
            cut_off = self._memory.invoking
            return (*(agent.salvage(AttemptKey(self._run, e.feature, e.attempt), e) for e in cut_off), engine)
        branch = integration_branch(self._run, self._prefix)
        started = ev.RunStarted(
            now, self._run, order.loaded.project_name, self._base, order.base.name, branch,
            render_plan(self._plan), __version__, order.inputs, str(order.loaded.config_path),
            json.dumps({name: value for name, value in order.flags.items() if value is not None}),
        )  # fmt: skip
        return (started, engine)

    def _performers(self) -> tuple[Mapping[type[fx.Effect], Performer], AgentPerformer]:
        order, loaded = self._order, self._order.loaded
        settings, features = loaded.settings, self._plan.features
        redactor = Redactor({**secret_values(order.environ), **secret_values(dict(settings.env))})
        artifacts = self._files.artifacts(self._run)
        agents = agent_settings(loaded, order.repository, artifacts)
        agents = replace(agents, worktrees=self._worktrees_so_far() or agents.worktrees)
        git_settings = GitSettings(
            agents.worktrees, self._prefix, settings.copy, settings.ports.first, settings.ports.count
        )

        async def run_setup(key: AttemptKey, path: Path) -> str:
            return await verify.run_setup(key, path)

        git = GitPerformer(
            order.repository, git_settings, features,
            clock=self._clock, base_of=self._memory.base_of, run_setup=run_setup, ports_held=self._memory.ports_held,
        )  # fmt: skip
        verify = VerifyPerformer(
            VerifySettings(artifacts, settings.setup, order.environ, settings.env), features,
            clock=self._clock, path_of=git.path_of, port_of=git.port_of,
            integration_worktree=git.integration_worktree, redactor=redactor,
        )  # fmt: skip
        agent = AgentPerformer(
            agents, features=features, brief_of=self._memory.brief_of,
            variables=lambda key: {**_port_variables(git.port_of(key)), **git.variables_of(key)},
            environ=order.environ, redactor=redactor, clock=self._clock,
        )  # fmt: skip
        performers: dict[type[fx.Effect], Performer] = {
            fx.PrepareWorktree: git,
            fx.RunAgent: agent,
            fx.SealWork: git,
            fx.RunChecks: verify,
            fx.MergeWork: git,
            fx.RunMergeChecks: verify,
            fx.PublishMerge: git,
            fx.KeepWork: git,
        }
        missing = set(get_args(fx.AnyEffect)) - performers.keys() - {fx.StopWork}
        assert not missing, f"nobody performs {missing}"
        return performers, agent

    def _worktrees_so_far(self) -> Path | None:
        """Where the worktrees of this run lie already, whatever the settings say by now; None if there are none."""
        made = (s.event for s in reversed(self._past) if isinstance(s.event, ev.WorktreePrepared))
        return next((top for e in made if (top := Path(e.path).parent.parent).is_dir()), None)

    def _write_report(self) -> Report:
        events = [stored.event for stored in self._log.read(self._run)]
        report = build_report(events, self._plan, now=self._clock.now())
        write_atomically(self._files.report_json(self._run), render_json(report))
        write_atomically(self._files.report_markdown(self._run), render_markdown(report))
        return report


def _port_variables(port: int) -> dict[str, str]:
    return {"PORT": str(port), "ORCHESTRATE_PORT": str(port)} if port else {}


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
            return ExitCode.INTERRUPTED if last_signal == 2 else ExitCode.TERMINATED
        case "incomplete" | "halted":
            return ExitCode.INCOMPLETE
