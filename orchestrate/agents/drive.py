"""Leads one agent process from its start to its end: prompt in, lines out, deadlines, and the ladder that ends it.

Theory of operation. Everything happens in call-backs of the loop (output is there, a tick has passed); the coroutine
only waits for the end. So there is no task and no thread an agent, a cancellation cannot tear anything apart, and the
figures of an agent that is being ended are still read. Invariant: when drive() returns, or raises, nothing of the
process tree is alive, and what the agent said until then has been judged.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from orchestrate.core.events import Tokens
from orchestrate.process import Tree, signal_group, start_tree, sweep

from .codec import AgentRequest, Codec, EndedByUs, Ending, ExitInfo, SpawnPlan
from .pipes import CHUNK, CappedFile, LineSplitter, PipeWriter
from .transcript import Transcript

STDERR_TAIL = 8 * 1024
"""Bytes of stderr that an end is judged by."""
ERROR_LINE_LIMIT = 1024 * 1024
"""Bytes; a longer line of stderr is not kept."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long we wait for what, in seconds. The defaults are those of production.

    stall_s: for any output; tool_s: for any output while a tool runs (an agent's longest tool, and a minute).
    interrupt_s, sigint_s, sigterm_s: grace after each step of the ladder. linger_s: for the exit after the last word.
    drain_s: for output after the exit, where a child that was left behind still holds the pipe.
    """

    stall_s: float = 330.0
    tool_s: float = 660.0
    interrupt_s: float = 10.0
    sigint_s: float = 8.0
    sigterm_s: float = 5.0
    linger_s: float = 30.0
    drain_s: float = 1.0
    tick_s: float = 0.25
    progress_s: float = 1.0


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
    scrub: Callable[[bytes], bytes],
) -> Driven:
    """Run the agent to its end. output, errors: files for its stdout and stderr, passed through `scrub`.

    Cancelling means: stop. The ladder is walked, and Driven says `interrupted`; CancelledError is not raised any more.
    Raises OSError when it cannot be started, CancelledError only when cancelled before it was.
    """
    plan = codec.spawn_plan(request)
    run = _Run(codec, plan, patience, timeout_s, on_progress, scrub, CappedFile(output), CappedFile(errors))
    try:
        await run.start(request, tag)
    except BaseException:
        run.close()
        sweep(tag)
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
        scrub: Callable[[bytes], bytes],
        output: CappedFile,
        errors: CappedFile,
    ) -> None:
        self.codec, self.plan, self.patience, self.scrub = codec, plan, patience, scrub
        self.on_progress, self.output, self.errors = on_progress, output, errors
        self.loop = asyncio.get_running_loop()
        self.over: asyncio.Future[None] = self.loop.create_future()
        self.transcript = Transcript()
        self.lines = LineSplitter()
        self.error_lines = LineSplitter(ERROR_LINE_LIMIT)
        self.stderr_tail = b""
        self.tree: Tree | None = None
        self.stdin: PipeWriter | None = None
        self.out_fd = self.err_fd = -1
        self.timer: asyncio.TimerHandle | None = None
        self.started_at = self.last_output_at = self.shown_at = self.loop.time()
        self.deadline = self.started_at + timeout_s
        self.exited_at: float | None = None
        self.shown_action = ""
        self.seen = self.shown_events = 0
        self.ended_by_us: EndedByUs = ""
        self.steps: list[tuple[Callable[[], None], float]] = []
        """What is left of the ladder: a step, and the seconds of grace after it."""
        self.next_step_at = float("inf")
        self.quick_s = 0.001

    # ── start and finish ─────────────────────────────────────────────────────────────────────────────────────────

    async def start(self, request: AgentRequest, tag: str) -> None:
        self.output.write(b"")  # the log refers to it, also when the agent says nothing
        theirs_in, ours_in = os.pipe()
        self.out_fd, theirs_out = os.pipe()
        self.err_fd, theirs_err = os.pipe()
        self.stdin = PipeWriter(ours_in)
        try:
            self.tree = await start_tree(
                self.plan.argv,
                cwd=Path(request.cwd),
                env={**self.plan.env, **request.environment},
                tag=tag,
                stdin=theirs_in,
                stdout=theirs_out,
                stderr=theirs_err,
            )
        finally:
            for fd in (theirs_in, theirs_out, theirs_err):
                os.close(fd)
        for fd, on_readable in ((self.out_fd, self._on_stdout), (self.err_fd, self._on_stderr)):
            os.set_blocking(fd, False)
            self.loop.add_reader(fd, on_readable)
        self.stdin.write(self.plan.stdin)
        if not self.plan.keep_stdin_open:
            self.stdin.close_when_flushed()
        self.timer = self.loop.call_later(self.patience.tick_s, self._tick)

    def finish(self) -> Driven:
        """Nothing will come any more: end what was left behind, judge."""
        assert self.tree is not None
        ended_at = self.loop.time()
        left_behind = sweep(self.tree.tag) if self.next_step_at < float("inf") else self.tree.sweep_rest()
        exit_code = self.tree.child.returncode or 0
        self._take(self.lines.rest())
        if self.lines.dropped:
            self.output.write(b'\n{"type":"orchestrate","left_out_lines":%d}\n' % self.lines.dropped)
        self._take_errors(self.error_lines.rest())
        self.close()
        tail = self.stderr_tail.decode("utf-8", "replace")
        ending = self.codec.classify(self.transcript, ExitInfo(exit_code, tail, self.ended_by_us))
        problem = self.output.problem or self.errors.problem
        return Driven(ending, exit_code, ended_at - self.started_at, left_behind, problem)

    def close(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
        if self.stdin is not None:
            self.stdin.close()
        self._close_out()
        self._close_err()
        self.output.close()
        self.errors.close()

    # ── output ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _on_stdout(self) -> None:
        try:
            chunk = os.read(self.out_fd, CHUNK)
        except BlockingIOError:
            return
        if not chunk:
            self._close_out()
            self._look_soon()
            return
        self.last_output_at = self.loop.time()
        self._take(self.lines.feed(chunk))
        self._show()

    def _take(self, block: bytes) -> None:
        """Whole lines: into the file first, then into the transcript."""
        if not block:
            return
        self.output.write(self.scrub(block))
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
            return
        self._take_errors(self.error_lines.feed(chunk))
        self.stderr_tail = (self.stderr_tail + chunk)[-STDERR_TAIL:]

    def _take_errors(self, block: bytes) -> None:
        if block:
            self.errors.write(self.scrub(block))

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

    def _look_soon(self) -> None:
        """Its output has ended: the exit is near, and not announced to us."""
        if self.timer is not None:
            self.timer.cancel()
        self.timer = self.loop.call_later(self.quick_s, self._tick)
        self.quick_s = min(self.patience.tick_s, self.quick_s * 2)

    def _tick(self) -> None:
        if self.over.done():
            return
        now = self.loop.time()
        self._show()
        if self._has_exited(now):
            self.over.set_result(None)
            return
        if now >= self.next_step_at:
            self._next_step()
        elif self.next_step_at == float("inf"):
            self._check_deadlines(now)
        if self.out_fd < 0:
            self._look_soon()
        else:
            self.timer = self.loop.call_later(self.patience.tick_s, self._tick)

    def _has_exited(self, now: float) -> bool:
        """The process is gone and its last words are read, or will not come."""
        assert self.tree is not None
        if self.tree.child.returncode is None:
            return False
        if self.exited_at is None:
            self.exited_at = now
        return (self.out_fd < 0 and self.err_fd < 0) or now - self.exited_at >= self.patience.drain_s

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
        if self.next_step_at < float("inf") or self.over.done():
            return
        self.ended_by_us = why
        self.steps = [
            (lambda: self._signal(signal.SIGINT), self.patience.sigint_s),
            (lambda: self._signal(signal.SIGTERM), self.patience.sigterm_s),
        ]
        if self.plan.interrupt and self.stdin is not None and self.stdin.is_open:
            self.steps.insert(0, (self._interrupt, self.patience.interrupt_s))
        self._next_step()

    def _next_step(self) -> None:
        step, grace_s = self.steps.pop(0) if self.steps else (self._kill, self.patience.tick_s)
        self.next_step_at = self.loop.time() + grace_s
        step()

    def _interrupt(self) -> None:
        assert self.stdin is not None
        self.stdin.write(self.plan.interrupt)
        self.stdin.close_when_flushed()

    def _signal(self, sig: signal.Signals) -> None:
        assert self.tree is not None
        signal_group(self.tree.child.pid, sig)

    def _kill(self) -> None:
        self._signal(signal.SIGKILL)
