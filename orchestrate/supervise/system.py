"""What the supervisor asks of the kernel: namespaces, death signals, adoption of orphans; and who descends from us.

Invariant: nothing here raises because the kernel refuses: the answer says so, and the caller goes on with less. Processes
are looked at through /proc; where there is none (no Linux), nobody is found, and the record says that it is not known.
"""

from __future__ import annotations

import os
import sys
import time

IS_LINUX = sys.platform == "linux"

# https://man7.org/linux/man-pages/man2/prctl.2.html, unshare.2.html, mount.2.html
_PDEATHSIG, _NAME, _SUBREAPER = 1, 15, 36
_NEWNS, _NEWUSER, _NEWPID = 0x20000, 0x10000000, 0x20000000
_NOSUID, _NODEV, _NOEXEC, _REC, _PRIVATE = 2, 4, 8, 0x4000, 0x40000

KILL = 9


def _call(name: str, *args: int | bytes | None) -> int:
    """A function of the C library that takes ints and strings; its result, -1 where it or the library is missing.

    Through _ctypes, as importing ctypes takes as long as a third of the interpreter's own start.
    """
    try:
        import _ctypes

        ourselves = _ctypes.dlopen(None, 0)  # type: ignore[arg-type] # typeshed knows no None
        address = _ctypes.dlsym(ourselves, name)
        return int(_ctypes.call_function(address, args))
    except (ImportError, OSError, AttributeError):
        return -1


def die_with_parent() -> None:
    """We are killed when the thread that forked us ends. Not inherited by our children."""
    if IS_LINUX:
        _call("prctl", _PDEATHSIG, KILL, 0, 0, 0)


def adopt_orphans() -> bool:
    """Who loses its parent below us becomes our child."""
    return IS_LINUX and _call("prctl", _SUBREAPER, 1, 0, 0, 0) == 0


def set_name(name: bytes) -> None:
    """As `ps` shows it: at most 15 bytes."""
    if IS_LINUX:
        _call("prctl", _NAME, name, 0, 0, 0)


# ── namespaces ───────────────────────────────────────────────────────────────────────────────────────────────────


def enter_pid_namespace() -> tuple[str, str]:
    """Our next child is process 1 of a PID namespace: all in it die with it. Which kind it is, `own` or `user`, and why
    there is none.

    Without the right to make one, it is inside a user namespace, in which we stay who we are.
    """
    if not IS_LINUX:
        return "", f"{sys.platform} has none"
    uid, gid = os.geteuid(), os.getegid()
    if uid == 0 and _call("unshare", _NEWPID) == 0:
        return "own", ""
    if _call("unshare", _NEWUSER | _NEWPID) != 0:
        return "", "the system refuses to make user and PID namespaces"
    try:
        for file, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
            _write(f"/proc/self/{file}", text)
    except OSError as error:
        return "", f"the system refuses to map our user into a namespace: {error.strerror}"
    return "user", ""


def mount_own_proc() -> str:
    """As process 1: /proc shows the namespace, to us and ours alone. Empty, or why not.

    Without it a program that looks itself up in /proc would find somebody else.
    """
    if _call("unshare", _NEWNS) != 0:
        return "the system refuses to make a mount namespace"
    _call("mount", b"none", b"/", None, _REC | _PRIVATE, None)
    if _call("mount", b"proc", b"/proc", b"proc", _NOSUID | _NODEV | _NOEXEC, None) != 0:
        return "the system refuses to mount /proc in a namespace"
    return ""


def spread_pids(seed: int) -> None:
    """Process ids of this namespace go on from a place of its own.

    Each namespace counts from 1, and programs that share /tmp, or a directory in the home, name files after their ids.
    """
    try:
        with open("/proc/sys/kernel/pid_max", "rb") as file:
            most = int(file.read())
        _write("/proc/sys/kernel/ns_last_pid", str(300 + seed * 1_000_003 % max(1, most - 2_000)))
    except (OSError, ValueError):
        pass


def volunteer_for_oom() -> None:
    """When memory runs out, we go before the engine and the user's own programs. Inherited by our children."""
    try:
        _write("/proc/self/oom_score_adj", "500")
    except OSError:
        pass


def _write(path: str, text: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)


# ── processes ────────────────────────────────────────────────────────────────────────────────────────────────────


def stat_fields(pid: int | str) -> list[str]:
    """Of /proc/PID/stat from the state on (proc(5)); empty when there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
            return file.read().rpartition(b")")[2].decode("ascii", "replace").split()
    except OSError:
        return []


def start_time(pid: int) -> str:
    """As process.start_time says it; empty where it is not known."""
    fields = stat_fields(pid) if IS_LINUX else []
    return fields[19] if len(fields) > 19 else ""


def others_here() -> int:
    """How many live in this PID namespace besides us."""
    me, count = str(os.getpid()), 0
    for name in os.listdir("/proc"):
        if name.isdigit() and name != me and stat_fields(name)[:1] not in ([], ["Z"], ["X"]):
            count += 1
    return count


def descendants() -> list[int]:
    """Ids of the living processes below us."""
    children: dict[str, list[str]] = {}
    living = set()
    for name in os.listdir("/proc"):
        if name.isdigit():
            fields = stat_fields(name)
            if fields:
                children.setdefault(fields[1], []).append(name)
                if fields[0] not in ("Z", "X"):
                    living.add(name)
    found, ahead = [], [str(os.getpid())]
    while ahead:
        below = children.get(ahead.pop(), [])
        ahead += below
        found += [int(name) for name in below if name in living]
    return found


def _children() -> list[int] | None:
    """Of ours, zombies too. Some 20 µs, where the kernel offers it; else None."""
    me = os.getpid()
    try:
        with open(f"/proc/{me}/task/{me}/children", "rb", buffering=0) as file:
            return [int(pid) for pid in file.read().split()]
    except OSError:
        return None


def reap() -> dict[int, int]:
    """Wait statuses of our children that have ended, by process id."""
    ended: dict[int, int] = {}
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return ended
        if pid == 0:
            return ended
        ended[pid] = status


def kill_descendants(limit_s: float = 10.0) -> tuple[dict[int, int], int, int]:
    """SIGKILL everything below us until there is nothing; who loses its parent meanwhile becomes our child, so none
    can hide. Wait statuses of our children, how many were killed, and how many are left when the limit is up.

    Whoever forks and exits over and over is our child each time, so those are looked at first and most often.
    """
    if not IS_LINUX:
        return reap(), 0, -1
    statuses: dict[int, int] = {}
    killed: set[int] = set()
    until = time.monotonic() + limit_s
    while True:
        statuses.update(reap())
        children = _children()
        for _ in range(20):
            if not children or not _kill(children, killed):
                break
            statuses.update(reap())
            children = _children()
        # Who has a parent below us has an ancestor among our children.
        living = [] if children == [] else descendants()
        if not living:
            statuses.update(reap())
            return statuses, len(killed), 0
        if time.monotonic() > until:
            return statuses, len(killed), len(living)
        _kill(living, killed)


def _kill(pids: list[int], killed: set[int]) -> bool:
    """Whether there was anybody whom we had not signalled yet."""
    before = len(killed)
    for pid in pids:
        try:
            os.kill(pid, KILL)
            killed.add(pid)
        except (ProcessLookupError, PermissionError):
            continue
    return len(killed) > before


# ── memory ───────────────────────────────────────────────────────────────────────────────────────────────────────


def oom_kills() -> int:
    """How many processes the system has ended for want of memory, of our control group where that is known."""
    for path in _oom_counters():
        try:
            with open(path, "rb", buffering=0) as file:
                count = parse_oom_kills(file.read(64 * 1024))
        except OSError:
            continue
        if count is not None:
            return count
    return 0


def _oom_counters() -> list[str]:
    """https://docs.kernel.org/admin-guide/cgroup-v2.html (memory.events), cgroup-v1/memory.html (memory.oom_control)"""
    try:
        with open("/proc/self/cgroup", "rb", buffering=0) as file:
            groups = file.read().decode("utf-8", "surrogateescape").splitlines()
    except OSError:
        groups = []
    paths = []
    for line in groups:
        _, _, rest = line.partition(":")
        kinds, _, path = rest.partition(":")
        if kinds == "":
            paths.append(f"/sys/fs/cgroup{path}/memory.events")
        elif "memory" in kinds.split(","):
            paths.append(f"/sys/fs/cgroup/memory{path}/memory.oom_control")
    return [*paths, "/proc/vmstat"]


def parse_oom_kills(text: bytes) -> int | None:
    """The line `oom_kill N` of any of these files."""
    for line in text.splitlines():
        words = line.split()
        if len(words) == 2 and words[0] == b"oom_kill" and words[1].isdigit():
            return int(words[1])
    return None
