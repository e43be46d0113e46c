"""Short commands of ours: their output, end, deadline and cancellation, with real processes."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path

import pytest

from orchestrate.process import Finished, _content, _file_on_disk, is_alive, run_command

ENV = {"PATH": "/usr/local/bin:/usr/bin:/bin"}


async def shell(script: str, cwd: Path, *, stdin: bytes | None = None, timeout_s: float | None = None) -> Finished:
    return await run_command(["/bin/sh", "-c", script], cwd=cwd, env=ENV, stdin=stdin, timeout_s=timeout_s)


def open_descriptors() -> set[str]:
    return set(os.listdir("/dev/fd"))


async def test_output_and_errors_come_back_apart_with_the_exit_code(tmp_path: Path) -> None:
    done = await shell("pwd; echo wrong >&2; exit 3", tmp_path)
    assert (done.exit_code, done.stdout, done.stderr) == (3, f"{tmp_path}\n".encode(), b"wrong\n")
    assert not done.ok and not done.timed_out


@pytest.mark.parametrize("stdin", [None, b"", b"a\0b\n", b"x" * 3_000_000], ids=["none", "empty", "bytes", "much"])
async def test_input_is_given_whole_and_ends(tmp_path: Path, stdin: bytes | None) -> None:
    done = await shell("cat; cat >&2", tmp_path, stdin=stdin)
    assert done.ok and done.stdout == (stdin or b"") and done.stderr == b""


async def test_input_that_nobody_reads_is_no_error(tmp_path: Path) -> None:
    assert (await shell("true", tmp_path, stdin=b"x" * 3_000_000)).ok


async def test_a_signal_is_a_negative_exit_code(tmp_path: Path) -> None:
    assert (await shell("echo said; kill -9 $$", tmp_path)).exit_code == -signal.SIGKILL


async def test_at_the_deadline_the_whole_group_is_killed_and_its_output_kept(tmp_path: Path) -> None:
    done = await shell("echo begun; sleep 100 & echo $!; sleep 100", tmp_path, timeout_s=0.3)
    begun, sleeper = done.stdout.split()
    assert done.timed_out and done.exit_code == -signal.SIGKILL and begun == b"begun"
    assert await gone(int(sleeper))


async def test_cancelled_it_leaves_nothing_alive_and_nothing_open(tmp_path: Path) -> None:
    before = open_descriptors()
    task = asyncio.ensure_future(shell("echo $$ > pid.new; mv pid.new pid; sleep 100", tmp_path))
    while not (tmp_path / "pid").exists():
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await gone(int((tmp_path / "pid").read_text()))
    assert open_descriptors() == before


async def test_who_is_left_behind_does_not_keep_us_waiting(tmp_path: Path) -> None:
    done = await shell("sleep 100 & echo $!", tmp_path, timeout_s=50.0)
    assert done.ok and done.duration_s < 50
    os.kill(int(done.stdout), signal.SIGKILL)


async def test_what_cannot_be_started_is_an_os_error_and_leaves_nothing_open(tmp_path: Path) -> None:
    before = open_descriptors()
    with pytest.raises(FileNotFoundError):
        await run_command(["no-such-program"], cwd=tmp_path, env=ENV, stdin=b"x")
    assert open_descriptors() == before


def test_where_there_are_no_files_in_memory_one_without_a_name_serves() -> None:
    fd = _file_on_disk()
    try:
        os.write(fd, b"out")
        assert _content(fd) == b"out" and os.fstat(fd).st_nlink == 0
        assert not os.get_inheritable(fd)
    finally:
        os.close(fd)


async def gone(pid: int) -> bool:
    """Whether the process ends within a few seconds: SIGKILL takes its time."""
    deadline = time.monotonic() + 10
    while is_alive(pid) and time.monotonic() < deadline:
        await asyncio.sleep(0.005)
    return not is_alive(pid)
