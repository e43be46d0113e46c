"""One command of the user's: every way to end, to hang, to flood and to leave something behind."""

from __future__ import annotations

import asyncio
import re
import resource
import stat
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from orchestrate.process import tagged
from orchestrate.redact import LONGEST_LINE, Redactor
from orchestrate.verify import output
from orchestrate.verify.output import HEAD_BYTES, SHOWN_BYTES, SHOWN_LINES, TAIL_BYTES, Output

from .conftest import TAG, Shell


async def test_success(shell: Shell) -> None:
    result = await shell.run("echo fine; echo and well >&2")
    assert (result.ok, result.exit_code, result.timed_out) == (True, 0, False)
    assert result.tail == "fine\nand well"
    assert shell.written == b"fine\nand well\n"
    assert stat.S_IMODE(shell.place.artifact.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("command", "exit_code"),
    [
        ("exit 3", 3),
        ("kill -9 $$", -9),
        ("kill -TERM $$", -15),
        ("no-such-program-anywhere", 127),
        ("(exit 1) | cat", 0),
    ],
)
async def test_the_exit_code_alone_decides(shell: Shell, command: str, exit_code: int) -> None:
    result = await shell.run(command)
    assert (result.exit_code, result.ok) == (exit_code, exit_code == 0)


async def test_a_missing_program_is_named(shell: Shell) -> None:
    assert "no-such-program-anywhere" in (await shell.run("no-such-program-anywhere")).tail


async def test_a_missing_directory_is_a_failed_check(shell: Shell) -> None:
    shell.place = replace(shell.place, cwd=Path("/nowhere/at/all"))
    result = await shell.run("true")
    assert (result.ok, result.exit_code) == (False, None) and "cannot be started" in result.tail


async def test_a_check_whose_supervisor_is_killed_is_run_again(shell: Shell) -> None:
    has_begun = shell.place.cwd / "has-begun"
    running = asyncio.ensure_future(shell.run("test -e has-begun && exit 0; touch has-begun; sleep 1000"))
    while not has_begun.exists():
        await asyncio.sleep(0.01)
    for child in psutil.Process().children():
        child.kill()

    result = await running

    assert (result.ok, result.exit_code) == (True, 0)
    assert "run again" in result.tail


async def test_stdin_is_empty(shell: Shell) -> None:
    assert (await shell.run("wc -c")).tail == "0"


async def test_time_runs_out_and_the_whole_tree_ends(shell: Shell) -> None:
    result = await shell.run("echo begun; setsid sleep 100 & sleep 100 & sleep 100", timeout_s=0.3)
    assert (result.ok, result.timed_out) == (False, True) and 0.2 < result.duration_s < 60
    assert result.tail.startswith("begun\n") and "over its time limit" in result.tail


async def test_one_that_ignores_the_polite_signal_is_killed(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrate.verify.checks.GRACE_S", 0.2)
    result = await shell.run("trap '' TERM; echo begun; while :; do sleep 0.05; done", timeout_s=0.3)
    assert result.timed_out and result.exit_code == -9 and result.duration_s < 60


async def test_what_stays_behind_does_not_hold_us_up(shell: Shell) -> None:
    started = time.monotonic()
    result = await shell.run("(sleep 100 &) ; setsid sleep 100 & echo served")
    assert result.ok and result.tail == "served" and time.monotonic() - started < 60


async def test_a_daemon_that_wiped_its_environment_does_not_hold_us_up(shell: Shell, tmp_path: Path) -> None:
    started = time.monotonic()
    daemon = f"exec setsid env -i sh -c 'echo $$ > {tmp_path}/pid; exec sleep 100'"
    result = await shell.run(f"({daemon}) & while [ ! -s {tmp_path}/pid ]; do :; done; echo served")
    assert result.ok and time.monotonic() - started < 60


async def test_a_cancelled_check_leaves_nothing_alive(shell: Shell, tmp_path: Path) -> None:
    task = asyncio.ensure_future(shell.run(f"setsid sleep 100 & touch {tmp_path}/begun; sleep 100"))
    while not (tmp_path / "begun").exists():
        await asyncio.sleep(0)
    assert tagged(TAG)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert tagged(TAG) == []


async def test_a_flood_is_bounded_on_disk_and_in_memory(shell: Shell) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    result = await shell.run("echo first; yes 0123456789abcdef | head -c 67108864; echo last")
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    written = shell.written
    assert result.ok and result.tail.endswith("last")
    assert written.startswith(b"first\n") and written.endswith(b"last\n") and b"bytes left out" in written
    assert HEAD_BYTES + TAIL_BYTES - LONGEST_LINE < len(written) < HEAD_BYTES + TAIL_BYTES + (1 << 20)
    assert grown < 64 * 1024  # KiB; on Linux


async def test_the_tail_is_bounded_in_bytes_and_lines(shell: Shell) -> None:
    assert len((await shell.run("seq 1 1000")).tail.splitlines()) == SHOWN_LINES
    assert len((await shell.run("head -c 100000 /dev/zero | tr '\\0' x")).tail) == SHOWN_BYTES


async def test_control_sequences_do_not_reach_the_tail(shell: Shell) -> None:
    result = await shell.run("printf '\\033[2J\\033]0;title\\007\\033[32mgreen\\033[0m 10%%\\r20%%\\n'")
    assert result.tail == "green 10%\n20%"


async def test_bytes_that_are_no_text_survive_in_the_artifact(shell: Shell) -> None:
    await shell.run("printf '\\377\\376\\000x\\n'")
    assert shell.written == b"\xff\xfe\x00x\n"


async def test_secrets_reach_neither_disk_nor_tail(make_shell: Callable[..., Shell]) -> None:
    shell = make_shell(Redactor({"PASSWORD": "hunter2hunter2"}))
    result = await shell.run("printf hunter2; sleep 0.05; echo hunter2; printf 'no newline: hunter2hunter2'")
    assert shell.written == b"[REDACTED:value]\nno newline: [REDACTED:value]"
    assert result.tail == shell.written.decode()


async def test_a_private_key_printed_line_by_line_is_taken_out(shell: Shell) -> None:
    await shell.run("for part in -----BEGIN-PRIVATE-KEY----- MIIEvQIBADANBgkq -----END-PRIVATE-KEY----- ok;"
                    " do echo $part | tr - ' ' | sed 's/^     /-----/; s/     $/-----/'; sleep 0.02; done")  # fmt: skip
    assert shell.written == b"[REDACTED:private-key]\nok\n"


def test_secrets_in_the_kept_end_of_a_flood_are_taken_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "HEAD_BYTES", 100)
    sink = Output(tmp_path / "log", Redactor({"PASSWORD": "hunter2hunter2"}))
    for number in range(50):
        sink.feed(b"line %d hunter2" % number)
        sink.feed(b"hunter2\n")
    sink.close()
    assert b"hunter2" not in (tmp_path / "log").read_bytes()
    assert sink.tail.endswith("line 49 [REDACTED:value]")


def test_the_kept_end_of_a_flood_begins_behind_a_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "HEAD_BYTES", 100)
    monkeypatch.setattr(output, "TAIL_BYTES", 200_000)
    sink = Output(tmp_path / "log", Redactor({"PASSWORD": "hunter2hunter2"}))
    sink.feed(b"x" * 100_000 + b"\n")
    sink.feed(b"hunter2")
    sink.feed(b"hunter2" + b"y" * 100_000)
    sink.feed(b"z" * 100_000 + b"end")
    sink.close()
    written = (tmp_path / "log").read_bytes()
    assert b"hunter2" not in written and written.endswith(b"z" * 100_000 + b"end")
    head, missing, rest = re.split(r"\n\[… (\d+) bytes left out …\]\n", written.decode())
    assert len(head) + int(missing) + len(rest) == 100_001 + 14 + 100_000 + 100_003
