"""Run one shell command of the user's to its end and say how it went.

Invariant: when run_check returns or is cancelled, nothing that the command started is alive any more, and no command can
keep us waiting by holding its output open.
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
from orchestrate.redact import Redactor
from orchestrate.supervise.door import Command as Supervision
from orchestrate.supervise.door import Supervised, SupervisorLost, start
from orchestrate.supervise.record import lock_path, record_path

from .output import Output

GRACE_S = 3.0
"""Between SIGTERM and SIGKILL, seconds."""

DRAIN_S = 1.0
"""How long to read on after the tree has ended, seconds: only somebody outside of it can still hold the pipe."""

BACKSTOP_S = 15.0
"""What the supervisor adds to the time limit before it ends the command itself, as we seem to hang."""

_CHUNK = 256 * 1024


@dataclass(frozen=True, slots=True)
class Place:
    """Where a command runs. tag: what its processes carry. artifact: file for its output. env: the whole environment.
    namespaces: give it a PID namespace where that is possible."""

    cwd: Path
    env: Mapping[str, str]
    tag: str
    artifact: Path
    redactor: Redactor
    namespaces: bool = True


async def run_check(command: Command, place: Place) -> CheckResult:
    """`/bin/sh -c command` with nothing on stdin. A command that cannot be started is a failed check, no exception."""
    started = time.monotonic()
    output = Output(place.artifact, place.redactor)
    try:
        exit_code, timed_out = await _run_again_if_lost(command, place, output)
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


async def _run_again_if_lost(command: Command, place: Place, output: Output) -> tuple[int | None, bool]:
    """A command that somebody killed the supervisor of says nothing of the work that it was to judge: once more."""
    try:
        return await _run(command, place, output)
    except SupervisorLost:
        output.feed(b"[its supervisor was killed: it is run again]\n")
        return await _run(command, place, output)


async def _run(command: Command, place: Place, output: Output) -> tuple[int | None, bool]:
    """Exit code and whether its time ran out. Cancelled: the whole tree is ended first."""
    supervision = Supervision(
        ["/bin/sh", "-c", command.run],
        cwd=place.cwd,
        env=place.env,
        tag=place.tag,
        lock=lock_path(place.artifact),
        record=record_path(place.artifact),
        wall_s=command.timeout_s + GRACE_S + BACKSTOP_S,
        grace_s=GRACE_S,
        namespaces=place.namespaces,
    )
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    try:
        child = await start(supervision, stdout=writing, stderr=writing)
    except BaseException:
        os.close(reading)
        raise
    finally:
        os.close(writing)
    drained = _pump(reading, output)
    try:
        timed_out = not await _outlast(child, command.timeout_s)
        if timed_out:
            await _end(child)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_S):
                await drained
    except BaseException:
        while not child.ended.done():
            try:
                await _end(child)
            except asyncio.CancelledError:
                child.kill()
        raise
    finally:
        asyncio.get_running_loop().remove_reader(reading)
        os.close(reading)
    record = child.ended.result()
    if record.how == "lost":
        raise SupervisorLost("its supervisor was killed")
    return record.exit_code, timed_out or record.how == "timeout"


async def _outlast(child: Supervised, timeout_s: float) -> bool:
    """Wait for the end of the command; False when the time was up before."""
    await asyncio.wait((child.ended,), timeout=timeout_s)
    return child.ended.done()


async def _end(child: Supervised) -> None:
    """The ladder: SIGTERM, grace, SIGKILL."""
    if not child.ended.done():
        child.signal(signal.SIGTERM)
        await asyncio.wait((child.ended,), timeout=GRACE_S)
    if not child.ended.done():
        child.kill()
    await asyncio.wait((child.ended,))


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
