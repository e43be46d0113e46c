"""One command under its supervisor: what it inherits, what is recorded, when the lock is held, and who waits for whom."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from orchestrate.process import prepare_loop, sweep
from orchestrate.supervise.door import Command, Supervised, start
from orchestrate.supervise.orphans import is_held, load_holder
from orchestrate.supervise.record import Record, load_record
from tests.support.engines import alive, engine

from .conftest import PATIENCE_S, has_namespaces, until

linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@dataclass
class Ran:
    record: Record
    printed: bytes


@dataclass
class Bench:
    """Runs shell code in a directory. reading: our end of the pipe that the last command prints to."""

    directory: Path
    base: Command
    reading: int = -1

    async def start(self, code: str, **changes: Any) -> Supervised:
        self.reading, writing = os.pipe()
        os.set_blocking(self.reading, False)
        try:
            command = replace(self.base, argv=("/bin/sh", "-c", code), **changes)
            return await start(command, stdout=writing, stderr=writing)
        finally:
            os.close(writing)

    async def run(self, code: str, **changes: Any) -> Ran:
        child = await self.start(code, **changes)
        printed = await self.read()
        return Ran(await child.ended, printed)

    async def read(self) -> bytes:
        """To the end, in a thread: who prints may be the one whom the loop serves."""
        os.set_blocking(self.reading, True)
        with open(self.reading, "rb") as file:
            return await asyncio.to_thread(file.read)

    def relayed(self, name: str = "agent") -> dict[str, Path]:
        return {"output": self.directory / f"{name}.jsonl", "errors": self.directory / f"{name}.stderr"}


@pytest.fixture
async def bench(tmp_path: Path, namespaces: bool) -> AsyncIterator[Bench]:
    prepare_loop()
    tag = f"test.{uuid.uuid4().hex}"
    base = Command(
        (), cwd=tmp_path, env={"PATH": os.environ["PATH"]}, tag=tag, lock=tmp_path / "attempt.lock",
        record=tmp_path / "check.exit", namespaces=namespaces,
    )  # fmt: skip
    yield Bench(tmp_path, base)
    assert sweep(tag) == 0


async def eventually(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0.005)


async def quickly(what: Awaitable[Any]) -> Any:
    async with asyncio.timeout(PATIENCE_S):
        return await what


# ── what a command finds ─────────────────────────────────────────────────────────────────────────────────────────


@linux
async def test_it_has_nothing_but_its_three_descriptors(bench: Bench) -> None:
    assert (await bench.run("ls /proc/self/fd")).printed.split() == [b"0", b"1", b"2", b"3"]  # 3: of the listing itself


async def test_its_environment_is_what_was_given_and_the_tag(bench: Bench) -> None:
    given = {"PATH": "/usr/bin:/bin", "X": "ümlaut"}
    printed = (await bench.run("env -u PWD -u OLDPWD -u SHLVL -u _ env", env=given)).printed.decode()
    said = dict(line.split("=", 1) for line in printed.splitlines())
    assert said == {**given, "ORCHESTRATE_EFFECT": bench.base.tag}


@linux
async def test_signals_do_what_they_always_do(bench: Bench) -> None:
    """The interpreter ignores some, and so do we; a command does not, but for what whoever started us had ignored."""
    inherited = {number for number in signal.Signals if signal.getsignal(number) is signal.SIG_IGN}
    inherited -= {signal.SIGPIPE, signal.SIGXFSZ}
    printed = (await bench.run("grep -E 'SigIgn|SigBlk' /proc/self/status")).printed.split()
    assert [int(mask, 16) for mask in printed[1::2]] == [0, sum(1 << (number - 1) for number in inherited)]


@linux
async def test_it_finds_itself_in_proc(bench: Bench) -> None:
    assert (
        await bench.run("test $(cut -d' ' -f1 /proc/self/stat) != $$ && readlink /proc/$$/cwd")
    ).printed.strip() == os.fsencode(bench.directory)


@linux
async def test_two_namespaces_do_not_share_process_ids(bench: Bench) -> None:
    """Programs name files in /tmp, and in the home directory, after their ids."""
    first, second = [int((await bench.run("echo $$")).printed) for _ in range(2)]
    assert first != second and min(first, second) > 2


@linux
async def test_it_is_the_first_to_go_when_memory_runs_out(bench: Bench) -> None:
    assert (await bench.run("cat /proc/self/oom_score_adj")).printed == b"500\n"


@linux
async def test_neither_its_arguments_nor_its_environment_are_the_supervisors(bench: Bench) -> None:
    child = await bench.start("exec sleep 1000", env={"PATH": os.environ["PATH"], "KEY": "hunter2hunter2"})
    for pid in (child.pid, child.reaper):
        for file in ("environ", "cmdline"):
            assert b"hunter2" not in Path(f"/proc/{pid}/{file}").read_bytes()
    child.kill()
    await quickly(child.ended)


async def test_the_supervisor_is_in_no_terminals_session_and_in_nobodys_way(bench: Bench) -> None:
    child = await bench.start("exec sleep 1000")
    assert os.getsid(child.pid) == child.pid != os.getsid(0)
    assert os.getsid(child.reaper) == child.pid
    if sys.platform == "linux":
        assert Path(f"/proc/{child.pid}/cwd").readlink() == Path("/")
    child.kill()
    await quickly(child.ended)


# ── how it ended ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("code", "exit_code"), [("exit 0", 0), ("exit 3", 3), ("kill -9 $$", -9), ("kill -SEGV $$", -11), ("exit 137", 137)]
)
async def test_an_end_of_its_own(bench: Bench, code: str, exit_code: int) -> None:
    record = (await bench.run(code)).record
    assert (record.how, record.exit_code, record.survivors, record.left, record.oom) == (
        "exited",
        exit_code,
        0,
        0,
        False,
    )
    assert 0 < record.duration_s < PATIENCE_S and record.started <= record.ended
    assert load_record(bench.base.record) == record
    assert (record.effect, bool(record.namespace)) == (bench.base.tag, bench.base.namespaces)


async def test_killed_at_our_word(bench: Bench) -> None:
    deaf = bench.directory / "deaf"
    child = await bench.start(f"trap '' TERM INT; : > {deaf}; while :; do sleep 1; done")
    await eventually(deaf.exists)
    child.signal(signal.SIGTERM)
    child.kill()
    child.kill()
    record = await quickly(child.ended)
    assert (record.how, record.exit_code) == ("killed", -9)
    assert load_record(bench.base.record) == record


async def test_a_signal_reaches_the_whole_group(bench: Bench) -> None:
    child = await bench.start(
        "trap 'echo mother' TERM; (trap 'echo child; exit' TERM; echo; while :; do sleep 0.05; done) & wait; wait"
    )
    await eventually(lambda: os.read(bench.reading, 1) if _has_bytes(bench.reading) else b"")
    child.signal(signal.SIGTERM)
    assert {b"child", b"mother"} <= set((await bench.read()).split())  # and what the shell says of who was ended
    assert (await quickly(child.ended)).how == "exited"


def _has_bytes(fd: int) -> bool:
    return bool(select.select([fd], [], [], 0)[0])


async def test_signals_after_the_end_are_no_error(bench: Bench) -> None:
    child = await bench.start("exit 0")
    await quickly(child.ended)
    child.signal(signal.SIGTERM)
    child.kill()


async def test_what_is_left_behind_is_counted_and_ended(bench: Bench) -> None:
    ran = await bench.run(
        "sleep 1000 & setsid sleep 1000 & while [ $(ps ax | grep -c '[s]leep 1000') -lt 2 ]; do :; done"
    )
    assert ran.record.how == "exited" and ran.record.survivors == 2


async def test_its_wall_clock_is_kept_without_us(bench: Bench) -> None:
    record = (await bench.run("trap '' TERM; while :; do sleep 0.1; done", wall_s=0.5, grace_s=0.1)).record
    assert (record.how, record.exit_code) == ("timeout", -9)


async def test_at_the_wall_clock_it_may_end_in_order(bench: Bench) -> None:
    ran = await bench.run("trap 'echo sorry; exit 5' TERM; echo; while :; do sleep 0.05; done", wall_s=1.0, grace_s=60)
    assert (ran.record.how, ran.record.exit_code) == ("timeout", 5) and ran.printed.endswith(b"sorry\n")


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"cwd": Path("/no/such/directory")}, "/no/such/directory"),
        ({"cwd": Path("/etc/passwd")}, "/etc/passwd"),
    ],
)
async def test_where_it_cannot_run_it_is_not_started(bench: Bench, changes: dict[str, Any], error: str) -> None:
    with pytest.raises(OSError, match=error):
        await bench.start("exit 0", **changes)
    os.close(bench.reading)
    record = load_record(bench.base.record)
    assert record is not None and (record.how, record.exit_code) == ("not_started", None) and record.errno
    assert not is_held(bench.base.lock)


@pytest.mark.parametrize(("program", "kind"), [("/no/such", FileNotFoundError), ("/etc/passwd", PermissionError)])
async def test_what_is_no_program_is_not_started(bench: Bench, program: str, kind: type[OSError]) -> None:
    with pytest.raises(kind, match=program):
        await start(replace(bench.base, argv=(program,)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


async def test_cancelled_before_it_runs_it_is_ended(bench: Bench) -> None:
    starting = asyncio.ensure_future(bench.start(": > begun; exec sleep 1000"))
    await asyncio.sleep(0)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert not is_held(bench.base.lock)


async def test_a_supervisor_that_was_stopped_is_killed_and_its_tree_with_it(bench: Bench) -> None:
    child = await bench.start("exec sleep 1000")
    os.kill(child.pid, signal.SIGSTOP)
    child.kill()
    child._kill_supervisor()  # in production twenty seconds later
    assert (await quickly(child.ended)).how == "lost"


# ── the lock ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_lock_is_held_exactly_as_long_as_something_lives(bench: Bench) -> None:
    assert not is_held(bench.base.lock)
    child = await bench.start("exec sleep 1000")
    assert is_held(bench.base.lock)
    holder = load_holder(bench.base.lock)
    assert holder is not None and (holder.pid, holder.reaper, holder.effect) == (
        child.pid,
        child.reaper,
        bench.base.tag,
    )
    assert holder.living == (child.pid, child.reaper)
    child.kill()
    await quickly(child.ended)
    assert not is_held(bench.base.lock) and holder.living == (0, 0)


async def test_the_next_command_of_the_attempt_waits_for_the_one_before(bench: Bench) -> None:
    child = await bench.start("exec sleep 1000")
    waiting = asyncio.ensure_future(bench.start("echo second", record=bench.directory / "second.exit"))
    for _ in range(20):
        await asyncio.sleep(0.005)
        assert not waiting.done()
    child.kill()
    second = await quickly(waiting)
    assert (await quickly(second.ended)).how == "exited"


async def test_but_not_for_ever(bench: Bench) -> None:
    child = await bench.start("exec sleep 1000")
    with pytest.raises(OSError, match="an earlier command of this attempt still lives"):
        await bench.start("exit 0", record=bench.directory / "second.exit", lock_wait_s=0.05)
    child.kill()
    await quickly(child.ended)


# ── output of an agent ───────────────────────────────────────────────────────────────────────────────────────────


async def test_what_is_relayed_is_in_the_file_first_and_without_secrets(bench: Bench) -> None:
    relayed = bench.relayed()
    ran = await bench.run("echo out hunter2hunter2; echo err >&2", secrets=(b"hunter2hunter2",), **relayed)
    assert b"out hunter2hunter2\n" in ran.printed and b"err\n" in ran.printed
    assert relayed["output"].read_bytes() == b"out [REDACTED:value]\n"
    assert relayed["errors"].read_bytes() == b"err\n"


async def test_an_engine_that_does_not_read_stops_neither_the_wall_clock_nor_the_files(bench: Bench) -> None:
    relayed = bench.relayed()
    child = await bench.start("exec yes 0123456789", wall_s=1.0, grace_s=0.1, **relayed)
    await eventually(bench.base.record.exists)
    record = load_record(bench.base.record)
    assert record is not None and record.how == "timeout"
    await eventually(lambda: not is_held(bench.base.lock))
    assert not child.ended.done()  # it keeps what we have not read
    assert await bench.read() == relayed["output"].read_bytes()
    assert (await quickly(child.ended)).how == "timeout"


@linux
@pytest.mark.parametrize("newlines", [True, False])
async def test_its_memory_stays_flat_whatever_is_printed(bench: Bench, newlines: bool) -> None:
    flood = "yes 0123456789" if newlines else "cat /dev/zero"
    child = await bench.start(f"{flood} | head -c 209715200", **bench.relayed())
    seen, highest = await asyncio.to_thread(_drain, bench.reading, child.pid)
    assert seen == 209_715_200
    assert len(highest) >= 10 and max(highest) < 40 * 1024
    assert (await quickly(child.ended)).exit_code == 0


def _drain(reading: int, supervisor: int) -> tuple[int, list[int]]:
    """Bytes read to the end, and the supervisor's memory, KiB, every now and then."""
    os.set_blocking(reading, True)
    seen, highest = 0, []
    with open(reading, "rb", buffering=0) as file:
        while chunk := file.read(1 << 20):
            seen += len(chunk)
            if len(highest) < seen // 20_000_000:
                highest.append(highest_memory_kib(supervisor))
    return seen, highest


def highest_memory_kib(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1])


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
async def test_a_full_disk_ends_the_writing_and_nothing_else(bench: Bench) -> None:
    relayed = bench.relayed()
    relayed["output"].symlink_to("/dev/full")
    ran = await bench.run("echo one; echo two", **relayed)
    assert ran.printed == b"one\ntwo\n"
    assert (ran.record.how, ran.record.exit_code) == ("exited", 0)
    assert "agent.jsonl" in ran.record.problem and "No space left" in ran.record.problem


async def test_a_record_that_cannot_be_written_is_told_all_the_same(bench: Bench) -> None:
    ran = await bench.run("exit 4", record=bench.directory / "no" / "such" / "directory.exit")
    assert ran.record.exit_code == 4 and "directory.exit" in ran.record.problem


# ── an engine that is gone, or hangs ─────────────────────────────────────────────────────────────────────────────


def test_the_last_words_of_an_agent_whose_engine_died_are_kept(tmp_path: Path, namespaces: bool) -> None:
    files = {name: str(tmp_path / f"agent.{name}") for name in ("output", "errors")}
    code = "echo first; : > ready; trap '' PIPE; while :; do echo more; done"
    with engine(tmp_path, "/bin/sh", "-c", code, namespaces=namespaces, **files) as one:
        until((tmp_path / "ready").exists)
        one.child.kill()
        one.child.wait()
        until(lambda: not one.is_locked)
        record = one.record
    assert record is not None and (record.how, record.exit_code) == ("engine_gone", -9)
    assert Path(files["output"]).read_bytes().startswith(b"first\n")


def test_an_engine_that_was_stopped_does_not_stop_the_wall_clock(tmp_path: Path, namespaces: bool) -> None:
    code = f": > ready; exec sleep 1000 # {tmp_path}"
    with engine(tmp_path, "/bin/sh", "-c", code, namespaces=namespaces, wall_s=1.5, grace_s=0.1) as one:
        os.kill(one.child.pid, signal.SIGSTOP)
        until(lambda: one.record is not None)
        assert one.record is not None and one.record.how == "timeout"
        until(lambda: not one.is_locked)
        os.kill(one.child.pid, signal.SIGCONT)
        assert one.ended()["how"] == "timeout"


@linux
@pytest.mark.skipif(not has_namespaces(), reason="no namespace can be made here")
def test_inside_a_user_namespace_and_without_any(tmp_path: Path) -> None:
    """As somebody who is not root; and where the system grants no PID namespace at all, which is found out by trying."""
    program = (
        "import os; from orchestrate.supervise.probe import probe_containment as p\n"
        "c = p(os.environ['PATH']); print(repr(c.record.namespace), c.record.survivors, c.record.left, bool(c.why))"
    )
    as_user = ("unshare", "--user", "--map-user=1000", "--map-group=1000", sys.executable, "-c", program)
    refused = 'echo 0 > /proc/sys/user/max_pid_namespaces; exec "$0" -c "$1"'
    without = ("unshare", "--user", "--map-root-user", "/bin/sh", "-c", refused, sys.executable, program)
    said = [subprocess.run(argv, capture_output=True, text=True, check=False) for argv in (as_user, without)]
    if any(done.returncode for done in said):
        pytest.skip(f"user namespaces cannot be made here: {said[0].stderr}{said[1].stderr}")
    assert said[0].stdout.split() == ["'user'", "1", "0", "False"]
    assert said[1].stdout.split() == ["''", "1", "0", "True"]
    assert alive("sleep 300") == []
