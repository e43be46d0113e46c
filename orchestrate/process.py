"""Short commands of ours (git, `agent --version`), run to their end; and who a process is: its tag, its identity.

Commands that are not ours (agents, setup, checks) run under a supervisor: see supervise/door.py. Invariant: each of their
processes carries its effect's id in the environment from its start, so that it can be told whose it is.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

TAG = "ORCHESTRATE_EFFECT"
"""Environment variable with the effect id `<run>.<feature>.<attempt>.<n>`; a prefix of it selects a run or an attempt."""

KEEPER = "ORCHESTRATE_KEEPER"
"""The same in the environment of supervisors and reapers, which a sweep leaves to do their work."""

_IS_LINUX = sys.platform.startswith("linux")

LINE_LIMIT = 64 * 1024 * 1024
"""Longest line read from a child, bytes: agents print lines of several megabytes (asyncio's own limit is 64 KiB)."""


@dataclass(frozen=True, slots=True)
class Finished:
    """exit_code: negative is the signal's number. duration_s: wall clock, seconds."""

    exit_code: int
    stdout: bytes
    stderr: bytes
    duration_s: float
    timed_out: bool = False

    @property
    def ok(self) -> bool:
        return self.exit_code == 0


def prepare_loop() -> None:
    """Wait for children by pidfd where that is not yet asyncio's default (3.11): no thread a child.

    Call once inside the running loop, in the main thread.
    """
    if sys.version_info >= (3, 12) or not hasattr(os, "pidfd_open"):
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        watcher = asyncio.PidfdChildWatcher()
        watcher.attach_loop(asyncio.get_running_loop())
        asyncio.set_child_watcher(watcher)


async def run_command(
    argv: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    stdin: bytes | None = None,
    timeout_s: float | None = None,
) -> Finished:
    """Run a short, trusted command of ours (git, `agent --version`) to its end and collect its output.

    env is the whole environment. On timeout or cancellation the process group is killed.
    Raises OSError when the program cannot be started.
    """
    started = time.monotonic()
    fds = [_scratch_file(), _scratch_file()]
    timed_out = False
    try:
        if stdin is not None:
            fds.append(_scratch_file(stdin))
        child = await asyncio.create_subprocess_exec(
            *argv,
            cwd=cwd,
            env=dict(env),
            stdin=subprocess.DEVNULL if stdin is None else fds[2],
            stdout=fds[0],
            stderr=fds[1],
            start_new_session=True,
        )
        try:
            async with asyncio.timeout(timeout_s):
                await child.wait()
        except TimeoutError:
            timed_out = True
            signal_group(child.pid, signal.SIGKILL)
            await child.wait()
        except BaseException:
            signal_group(child.pid, signal.SIGKILL)
            await child.wait()
            raise
        stdout, stderr = _content(fds[0]), _content(fds[1])
    finally:
        for fd in fds:
            os.close(fd)
    return Finished(child.returncode or 0, stdout, stderr, time.monotonic() - started, timed_out)


def _scratch_file(content: bytes = b"") -> int:
    """Descriptor of a file without a name, in memory where that is possible; stands at its start.

    For what a child reads or prints it costs a third less of our time than a pipe, and whoever still holds it after
    the child's end does not keep us waiting.
    """
    fd = os.memfd_create("orchestrate") if hasattr(os, "memfd_create") else _file_on_disk()
    if content:
        view = memoryview(content)
        while view:
            view = view[os.write(fd, view) :]
        os.lseek(fd, 0, os.SEEK_SET)
    return fd


def _file_on_disk() -> int:
    import tempfile

    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def _content(fd: int) -> bytes:
    os.lseek(fd, 0, os.SEEK_SET)
    with open(fd, "rb", buffering=0, closefd=False) as file:
        return file.readall()


def run_command_now(argv: Sequence[str], *, cwd: Path, env: Mapping[str, str], timeout_s: float = 60.0) -> Finished:
    """The same for code that runs before or after the loop. Raises OSError when the program cannot be started."""
    started = time.monotonic()
    try:
        done = subprocess.run(
            argv, cwd=cwd, env=dict(env), stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout_s, check=False
        )
    except subprocess.TimeoutExpired as late:
        return Finished(-signal.SIGKILL, late.stdout or b"", late.stderr or b"", time.monotonic() - started, True)
    return Finished(done.returncode, done.stdout, done.stderr, time.monotonic() - started)


def run_attached(argv: Sequence[str], *, cwd: Path, env: Mapping[str, str]) -> int:
    """Run a command on our own terminal, which then decides what Ctrl-C means. Returns its exit status.

    Raises OSError when the program cannot be started.
    """
    child = subprocess.Popen(argv, cwd=cwd, env=dict(env))
    ours = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        return child.wait()
    finally:
        signal.signal(signal.SIGINT, ours)


# ── the tag ──────────────────────────────────────────────────────────────────────────────────────────────────────


def signal_group(pid: int, sig: signal.Signals) -> None:
    """Signal the group that pid leads; a group that is gone is no error."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, sig)


def sweep(*tags: str) -> int:
    """SIGKILL every process whose environment carries one of the tags (or one that it is a dotted prefix of), until there
    is none. A second line: what wiped its environment is not found.

    Returns how many were killed. Bounded: gives up after ten rounds, as a fork bomb could keep us here for ever.
    """
    killed: set[int] = set()
    for _ in range(10):
        bearers = [pid for pid in tagged(*tags) if pid != os.getpid()]
        if not bearers:
            break
        for pid in bearers:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
            killed.add(pid)
        time.sleep(0.002)
    return len(killed)


def tagged(*tags: str, name: str = TAG) -> list[int]:
    """Ids of living processes that carry one of the tags or one below it (`run.feature` covers `run.feature.1.3`).
    name: of the variable, TAG or KEEPER."""
    if not _IS_LINUX:
        return _tagged_portably(tags, name)
    found = []
    for pid in _pids():
        try:
            with open(f"/proc/{pid}/environ", "rb", buffering=0) as f:
                variables = f.read(1 << 20)
        except OSError:
            continue
        if _bears(variables, tags, name) and is_alive(int(pid)):
            found.append(int(pid))
    return found


def _bears(variables: bytes, tags: Sequence[str], name: str) -> bool:
    """variables: as in /proc/PID/environ."""
    start = f"{name}=".encode()
    if start not in variables:
        return False
    values = [v.removeprefix(start).decode("utf-8", "replace") for v in variables.split(b"\0") if v.startswith(start)]
    return any(value == tag or value.startswith(f"{tag}.") for value in values for tag in tags)


def _tagged_portably(tags: Sequence[str], name: str) -> list[int]:
    import psutil

    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            value = process.environ().get(name, "")
            if process.status() != psutil.STATUS_ZOMBIE and _bears(f"{name}={value}".encode(), tags, name):
                found.append(process.pid)
    return found


def _pids() -> Iterator[str]:
    return filter(str.isdigit, os.listdir("/proc"))


# ── identity ─────────────────────────────────────────────────────────────────────────────────────────────────────


def is_alive(pid: int) -> bool:
    """Whether the process exists and is no zombie."""
    if _IS_LINUX:
        return _linux_stat(pid)[:1] not in ("", "Z", "X")
    import psutil

    with contextlib.suppress(psutil.Error):
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    return False


def is_stopped(pid: int) -> bool:
    """Whether it was stopped by a signal (Ctrl-Z, SIGSTOP), and goes on with SIGCONT."""
    if _IS_LINUX:
        return _linux_stat(pid)[:1] in ("T", "t")
    import psutil

    with contextlib.suppress(psutil.Error):
        return bool(psutil.Process(pid).status() == psutil.STATUS_STOPPED)
    return False


def start_time(pid: int) -> str:
    """When the process started, as the system counts it; with pid and boot_id() it names a process. Empty: no such one."""
    if _IS_LINUX:
        fields = _linux_stat(pid).split()
        return fields[19] if len(fields) > 19 else ""
    import psutil

    with contextlib.suppress(psutil.Error):
        return repr(psutil.Process(pid).create_time())
    return ""


@cache
def boot_id() -> str:
    """Changes with every start of the machine; empty where the system does not say."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _linux_stat(pid: int) -> str:
    """Fields of /proc/PID/stat from the state on (proc(5)); empty when there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as f:
            return f.read().rpartition(b")")[2].decode("ascii", "replace").strip()
    except OSError:
        return ""
