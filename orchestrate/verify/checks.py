"""Run one shell command of the user's to its end and say how it went.

Invariant: when run_check returns or is cancelled, nothing that the command started is alive any more (but for daemons
that wiped their environment), and no command can keep us waiting by holding its output open.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from orchestrate.core.events import CheckResult
from orchestrate.core.plan import Command
from orchestrate.process import Tree, start_tree
from orchestrate.redact import Redactor

from .output import Output

GRACE_S = 3.0
"""Between SIGTERM and SIGKILL, seconds."""

DRAIN_S = 1.0
"""How long to read on after the shell has ended, seconds: only a daemon without our tag can still hold the pipe."""

_CHUNK = 256 * 1024


@dataclass(frozen=True, slots=True)
class Place:
    """Where a command runs. tag: what its processes carry. artifact: file for its output. env: the whole environment."""

    cwd: Path
    env: Mapping[str, str]
    tag: str
    artifact: Path
    redactor: Redactor


async def run_check(command: Command, place: Place) -> CheckResult:
    """`/bin/sh -c command` with nothing on stdin. A command that cannot be started is a failed check, no exception."""
    started = time.monotonic()
    output = Output(place.artifact, place.redactor)
    try:
        exit_code, timed_out = await _run(command, place, output)
        if timed_out:
            output.feed(f"\n[ended after {command.timeout_s:g} s: over its time limit]\n".encode())
    except OSError as problem:
        output.feed(f"cannot be started: {problem}\n".encode())
        exit_code, timed_out = None, False
    finally:
        if output.is_flood:
            await asyncio.to_thread(output.close)
        output.close()
    return CheckResult(
        name=command.name,
        command=command.run,
        ok=exit_code == 0 and not timed_out,
        exit_code=exit_code,
        timed_out=timed_out,
        duration_s=round(time.monotonic() - started, 3),
        tail=output.tail,
        artifact=str(place.artifact),
    )


async def _run(command: Command, place: Place, output: Output) -> tuple[int | None, bool]:
    """Exit code and whether its time ran out. Cancelled: the whole tree is ended first."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    try:
        # A pipe of our own: asyncio's would make wait() wait for everyone who holds it.
        tree = await start_tree(
            ["/bin/sh", "-c", command.run], cwd=place.cwd, env=place.env, tag=place.tag, stdout=writing, stderr=writing
        )
    except BaseException:
        os.close(reading)
        raise
    finally:
        os.close(writing)
    ended = _pump(reading, output)
    try:
        timed_out = await _outlast(tree, command.timeout_s)
        tree.sweep_rest()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_S):
                await ended
    except BaseException:
        await _end(tree)
        raise
    finally:
        asyncio.get_running_loop().remove_reader(reading)
        os.close(reading)
    return tree.child.returncode, timed_out


async def _outlast(tree: Tree, timeout_s: float) -> bool:
    """Wait for the shell; True when its time ran out and it had to be ended."""
    try:
        async with asyncio.timeout(timeout_s):
            await tree.child.wait()
    except TimeoutError:
        await _end(tree)
        return True
    return False


async def _end(tree: Tree) -> None:
    await tree.end(soft=((signal.SIGTERM, GRACE_S),))


def _pump(reading: int, output: Output) -> asyncio.Future[None]:
    """Move what arrives on the descriptor into the output, one chunk a turn of the loop; done at its end."""
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[None] = loop.create_future()

    def read() -> None:
        try:
            data = os.read(reading, _CHUNK)
        except BlockingIOError:
            return
        if data:
            output.feed(data)
            return
        loop.remove_reader(reading)
        if not ended.done():
            ended.set_result(None)

    loop.add_reader(reading, read)
    return ended
