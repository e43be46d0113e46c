"""Leads one agent process from its start to its end: prompt in, lines out, deadlines, and the ladder that ends it.

Theory of operation. The agent runs under a supervisor, which writes its output to the artifacts before we see it.
Everything here happens in call-backs of the loop (output is there, a tick has passed); the coroutine only waits for the
end. So there is no task and no thread an agent, a cancellation cannot tear anything apart, and the figures of an agent
that is being ended are still read. Invariant: when drive() returns, or raises, nothing of the process tree is alive, and
what the agent said until then has been judged.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from orchestrate.core.events import Tokens
from orchestrate.supervise.door import Command, Supervised, start
from orchestrate.supervise.record import Record, lock_path, record_path

from .codec import AgentRequest, Codec, EndedByUs, Ending, ExitInfo, SpawnPlan
from .pipes import CHUNK, LineSplitter, PipeWriter
from .transcript import Transcript

STDERR_TAIL = 8 * 1024
"""Bytes of stderr that an end is judged by."""
OUT_OF_MEMORY = "the system ran out of memory and ended the agent"


@dataclass(frozen=True, slots=True)
class Patience:
    """How long we wait for what, in seconds. The defaults are those of production.

    stall_s: for any output; tool_s: for any output while a tool runs (an agent's longest tool, and a minute).
    interrupt_s, sigint_s, sigterm_s: grace after each step of the ladder. linger_s: for the exit after the last word.
    suspended_s: so late a tick, and we were stopped or the machine asleep: the agent is given the time back.
    backstop_s: what the supervisor adds to all that before it ends the agent itself, as we seem to hang.
    """

    stall_s: float = 330.0
    tool_s: float = 660.0
    interrupt_s: float = 10.0
    sigint_s: float = 8.0
    sigterm_s: float = 5.0
    linger_s: float = 30.0
    suspended_s: float = 5.0
    backstop_s: float = 15.0
    tick_s: float = 0.25
    progress_s: float = 1.0

    @property
    def ladder_s(self) -> float:
        """The whole ladder, for an agent that heeds nothing but SIGKILL."""
        return self.interrupt_s + self.sigint_s + self.sigterm_s


@dataclass(frozen=True, slots=True)
class Progress:
    """What the agent does now, and its figures so far (for people, not for money)."""

    action: str
    turns: int
    tokens: Tokens
    cost_usd: float


@dataclass(frozen=True, slots=True)
class Driven:
    """How it went. exit_code: negative is the signal's number. problem: what could not be written, if anything."""

    ending: Ending
    exit_code: int
    duration_s: float
    survivors: int = 0
    """Processes that outlived the agent and were ended."""
    problem: str = ""
    oom: bool = False
    """The system ended it for want of memory."""


async def drive(
    codec: Codec,
    request: AgentRequest,
    *,
    tag: str,
    output: Path,
    errors: Path,
    timeout_s: float,
    patience: Patience,
    on_progress: Callable[[Progress], None],
    secrets: tuple[bytes, ...] = (),
    namespaces: bool = True,
) -> Driven:
    """Run the agent to its end. output, errors: files for its stdout and stderr, without the `secrets`; the attempt's
    lock and the record of how it ended lie beside them. namespaces: give it a PID namespace where that is possible.

    Cancelling means: stop. The ladder is walked, and Driven says `interrupted`; CancelledError is not raised any more.
    Raises OSError when it cannot be started, CancelledError only when cancelled before it was.
    """
    plan = codec.spawn_plan(request)
    p = patience
    command = Command(
        plan.argv,
        cwd=Path(request.cwd),
        env={**plan.env, **request.environment},
        tag=tag,
        lock=lock_path(output),
        record=record_path(output),
        output=output,
        errors=errors,
        secrets=secrets,
        wall_s=timeout_s + p.ladder_s + p.backstop_s,
        grace_s=p.sigterm_s,
        namespaces=namespaces,
    )
    run = _Run(codec, plan, patience, timeout_s, on_progress)
    try:
        await run.start(command)
    except BaseException:
        run.close()
        raise
    while not run.over.done():
        try:
            await asyncio.wait((run.over,))
        except asyncio.CancelledError:
            run.stop("interrupt")
    return run.finish()


class _Run:
    def __init__(
        self,
        codec: Codec,
        plan: SpawnPlan,
        patience: Patience,
        timeout_s: float,
        on_progress: Callable[[Progress], None],
    ) -> None:
        self.codec, self.plan, self.patience = codec, plan, patience
        self.on_progress = on_progress
        self.loop = asyncio.get_running_loop()
        self.over: asyncio.Future[None] = self.loop.create_future()
        self.transcript = Transcript()
        self.lines = LineSplitter()
        self.stderr_tail = b""
        self.child: Supervised | None = None
        self.record: Record | None = None
        self.stdin: PipeWriter | None = None
        self.out_fd = self.err_fd = -1
        self.timer: asyncio.TimerHandle | None = None
        self.started_at = self.last_output_at = self.shown_at = self.ticked_at = self.loop.time()
        self.deadline = self.started_at + timeout_s
        self.shown_action = ""
        self.seen = self.shown_events = 0
        self.ended_by_us: EndedByUs = ""
        self.steps: list[tuple[Callable[[], None], float]] = []
        """What is left of the ladder: a step, and the seconds of grace after it."""
        self.next_step_at = float("inf")
        self.is_ending = False

    # ── start and finish ─────────────────────────────────────────────────────────────────────────────────────────

    async def start(self, command: Command) -> None:
        theirs_in, ours_in = os.pipe()
        self.out_fd, theirs_out = os.pipe()
        self.err_fd, theirs_err = os.pipe()
        self.stdin = PipeWriter(ours_in)
        try:
            self.child = await start(command, stdin=theirs_in, stdout=theirs_out, stderr=theirs_err)
        finally:
            for fd in (theirs_in, theirs_out, theirs_err):
                os.close(fd)
        for fd, on_readable in ((self.out_fd, self._on_stdout), (self.err_fd, self._on_stderr)):
            os.set_blocking(fd, False)
            self.loop.add_reader(fd, on_readable)
        self.stdin.write(self.plan.stdin)
        if not self.plan.keep_stdin_open:
            self.stdin.close_when_flushed()
        self.child.ended.add_done_callback(self._on_end)
        now = self.loop.time()
        self.deadline += now - self.started_at
        self.started_at = self.last_output_at = self.ticked_at = now
        self.timer = self.loop.call_later(self.patience.tick_s, self._tick)

    def finish(self) -> Driven:
        """Nothing will come any more: judge."""
        assert self.record is not None
        record, measured_s = self.record, self.loop.time() - self.started_at
        self._take(self.lines.rest())
        self.close()
        if record.how == "timeout" and not self.ended_by_us:
            self.ended_by_us = "timeout"
        exit_code = record.exit_code or 0
        tail = self.stderr_tail.decode("utf-8", "replace")
        ending = self.codec.classify(self.transcript, ExitInfo(exit_code, tail, self.ended_by_us))
        if is_oom := record.oom and ending.end == "killed":
            ending = replace(ending, why=OUT_OF_MEMORY)
        took_s = record.duration_s or measured_s
        return Driven(ending, exit_code, took_s, record.survivors, record.problem, is_oom)

    def close(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
        if self.stdin is not None:
            self.stdin.close()
        self._close_out()
        self._close_err()

    def _on_end(self, ended: asyncio.Future[Record]) -> None:
        self.record = ended.result()
        self._look()

    def _look(self) -> None:
        """It is over when the tree is dead and its last words are read."""
        if self.record is not None and self.out_fd < 0 and self.err_fd < 0 and not self.over.done():
            self.over.set_result(None)

    # ── output ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _on_stdout(self) -> None:
        try:
            chunk = os.read(self.out_fd, CHUNK)
        except BlockingIOError:
            return
        if not chunk:
            self._close_out()
            self._look()
            return
        self.last_output_at = self.loop.time()
        self._take(self.lines.feed(chunk))
        self._show()

    def _take(self, block: bytes) -> None:
        """Whole lines, which are in the file already."""
        for line in block.split(b"\n"):
            if line:
                for event in self.codec.decode(line):
                    self.transcript.add(event)
        if self.transcript.result is not None and self.stdin is not None and self.stdin.is_open:
            # The end of its input is what lets the agent go.
            self.stdin.close_when_flushed()

    def _on_stderr(self) -> None:
        try:
            chunk = os.read(self.err_fd, CHUNK)
        except BlockingIOError:
            return
        if not chunk:
            self._close_err()
            self._look()
            return
        self.stderr_tail = (self.stderr_tail + chunk)[-STDERR_TAIL:]

    def _close_out(self) -> None:
        if self.out_fd >= 0:
            self.loop.remove_reader(self.out_fd)
            os.close(self.out_fd)
            self.out_fd = -1

    def _close_err(self) -> None:
        if self.err_fd >= 0:
            self.loop.remove_reader(self.err_fd)
            os.close(self.err_fd)
            self.err_fd = -1

    def _show(self) -> None:
        """Report progress: a new action at once, but one a tick at most; figures alone at most every progress_s."""
        t = self.transcript
        if t.events == self.shown_events or not t.action:
            return
        now = self.loop.time()
        is_first, is_new = not self.shown_action, t.action != self.shown_action
        if not is_first and now - self.shown_at < (self.patience.tick_s if is_new else self.patience.progress_s):
            return
        self.shown_at, self.shown_events, self.shown_action = now, t.events, t.action
        self.on_progress(Progress(t.action, t.messages, t.tokens, t.cost_usd))

    # ── time ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _tick(self) -> None:
        if self.over.done():
            return
        now = self.loop.time()
        gap_s = now - self.ticked_at - self.patience.tick_s
        self.ticked_at = now
        if gap_s > self.patience.suspended_s:
            self._give_back(gap_s)
        self._show()
        if now >= self.next_step_at:
            self._next_step()
        elif not self.is_ending:
            self._check_deadlines(now)
        self.timer = self.loop.call_later(self.patience.tick_s, self._tick)

    def _give_back(self, gap_s: float) -> None:
        """The time in which we could not have heard the agent, nor it perhaps have spoken."""
        self.deadline += gap_s
        self.last_output_at += gap_s
        self.next_step_at += gap_s

    def _check_deadlines(self, now: float) -> None:
        t, p = self.transcript, self.patience
        silent_s = now - self.last_output_at
        if now >= self.deadline:
            self.stop("timeout")
        elif self.out_fd < 0 or (t.result is not None and not t.tasks and not t.tools):
            if silent_s >= p.linger_s:
                self.stop("" if t.result is not None else "stall")
        elif silent_s >= (p.tool_s if t.tools or t.tasks else p.stall_s) + t.wait_s:
            self.stop("stall")

    # ── the ladder ───────────────────────────────────────────────────────────────────────────────────────────────

    def stop(self, why: EndedByUs) -> None:
        """Begin to end the agent. A second request changes nothing: every step has its time already."""
        if self.is_ending or self.over.done():
            return
        self.is_ending = True
        self.ended_by_us = why
        self.steps = [
            (lambda: self._signal(signal.SIGINT), self.patience.sigint_s),
            (lambda: self._signal(signal.SIGTERM), self.patience.sigterm_s),
        ]
        if self.plan.interrupt and self.stdin is not None and self.stdin.is_open:
            self.steps.insert(0, (self._interrupt, self.patience.interrupt_s))
        self._next_step()

    def _next_step(self) -> None:
        step, grace_s = self.steps.pop(0) if self.steps else (self._kill, float("inf"))
        self.next_step_at = self.loop.time() + grace_s
        step()

    def _interrupt(self) -> None:
        assert self.stdin is not None
        self.stdin.write(self.plan.interrupt)
        self.stdin.close_when_flushed()

    def _signal(self, sig: signal.Signals) -> None:
        assert self.child is not None
        self.child.signal(sig)

    def _kill(self) -> None:
        assert self.child is not None
        self.child.kill()
