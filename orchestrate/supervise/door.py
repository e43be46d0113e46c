"""The one door to commands that are not ours: start one under a supervisor, signal it, hear how it ended.

Invariant: nothing of a command is alive once its `ended` is done, and none outlives this process: its end is the leash.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import orchestrate
from orchestrate.process import KEEPER, TAG, boot_id, is_alive, start_time, sweep

from .record import Record, parse_record
from .wire import Inbox, pack

_PROGRAM = """
import sys
sys.path.append({root!r})
from orchestrate.supervise.child import main
main(int(sys.argv[1]))
"""
KILL_S = 20.0
"""For a supervisor to kill its tree, seconds, before we kill it."""
LOST_S = 5.0
"""For the end of a tree whose supervisor was killed, seconds: the kernel or the reaper is at it."""


class SupervisorLost(OSError):
    """Somebody killed the supervisor: nothing is known of how the command went."""


@dataclass(frozen=True, slots=True)
class Command:
    """What to run, and what to know about it.

    env: the whole environment. tag: the effect's id. lock: of the attempt; record: where it is to say how it ended.
    output, errors: files for what it prints, for an agent, which is told to the engine too; None: only to the engine.
    secrets: byte strings that these files must not hold. wall_s: when the supervisor ends it by itself, in case that we do
    not; grace_s: between SIGTERM and SIGKILL then. namespaces: whether a PID namespace is wanted. lock_wait_s: for the end
    of an earlier command of the attempt, whose supervisor is at it already.
    """

    argv: Sequence[str]
    cwd: Path
    env: Mapping[str, str]
    tag: str
    lock: Path
    record: Path
    output: Path | None = None
    errors: Path | None = None
    secrets: tuple[bytes, ...] = ()
    wall_s: float = 0.0
    grace_s: float = 5.0
    namespaces: bool = True
    lock_wait_s: float = 10.0


class Supervised:
    """A command that runs. ended: its record. pid: of its supervisor; reaper: of the parent of its tree."""

    def __init__(
        self, command: Command, *, stdin: int, stdout: int, stderr: int, is_durable: bool, namespace: bool
    ) -> None:
        self.command = command
        self._loop = asyncio.get_running_loop()
        self.begun: asyncio.Future[str] = self._loop.create_future()
        """`running`, or why no namespace can be made."""
        self.ended: asyncio.Future[Record] = self._loop.create_future()
        self.reaper, self.reaper_started = 0, ""
        self._inbox = Inbox()
        self._record: Record | None = None
        self._last_resort: asyncio.TimerHandle | None = None
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                self._child = subprocess.Popen(
                    [*_interpreter(), _PROGRAM.format(root=str(_root())), str(theirs.fileno())],
                    cwd=os.sep,
                    env={KEEPER: command.tag},
                    stdin=stdin,
                    stdout=stdout,
                    stderr=stderr,
                    pass_fds=(theirs.fileno(),),
                    start_new_session=True,
                )
            except BaseException:
                ours.close()
                raise
        self.pid = self._child.pid
        self._channel: socket.socket | None = ours
        _living.add(self)
        self._send((_order(command, is_durable=is_durable, namespace=namespace),))
        self._loop.add_reader(ours.fileno(), self._hear)

    def signal(self, number: signal.Signals) -> None:
        """To the command's process group. One that has ended is no error."""
        self._send(("signal", int(number)))

    def kill(self) -> None:
        """The whole tree, at once. A supervisor that does not do it, as somebody stopped it, is killed, and that kills."""
        if self._last_resort is None:
            self._send(("kill",))
            self._last_resort = self._loop.call_later(KILL_S, self._kill_supervisor)

    def _kill_supervisor(self) -> None:
        if not self.ended.done():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(self.pid, signal.SIGKILL)

    def let_go(self) -> None:
        """Hang up: the supervisor takes us for dead, kills the tree and writes its record without us."""
        if self._channel is not None:
            self._loop.remove_reader(self._channel.fileno())
            self._channel.close()
            self._channel = None

    @property
    def has_exited(self) -> bool:
        """The supervisor itself."""
        return not is_alive(self.pid)

    def _send(self, value: tuple[object, ...]) -> None:
        if self._channel is not None:
            with contextlib.suppress(OSError):  # it has ended, which we shall hear
                self._channel.sendall(pack(value))

    # ── what it says ─────────────────────────────────────────────────────────────────────────────────────────────

    def _hear(self) -> None:
        assert self._channel is not None
        try:
            data = self._channel.recv(1 << 16)
        except OSError:
            data = b""
        for told in self._inbox.feed(data):
            match told:
                case ("started", int(reaper), str(since)):
                    self.reaper, self.reaper_started = reaper, since
                case ("running",):
                    self._begin("")
                case ("refused", str(why)):
                    self._begin(why)
                case ("ended", dict(record)):
                    self._record = parse_record(record)
        if not data:
            self.let_go()
            self._child.wait()  # its channel closes at its very end
            self._bury(self._loop.time() + LOST_S)

    def _begin(self, why: str) -> None:
        if not self.begun.done():
            self.begun.set_result(why)

    def _bury(self, until: float) -> None:
        """The supervisor is gone. Without a record it was killed: then its tree is being ended, which takes a moment."""
        if self._record is None and self._reaper_lives():
            if self._loop.time() >= until:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(self.reaper, signal.SIGKILL)
                until = float("inf")
            self._loop.call_later(0.01, self._bury, until)
            return
        record, swept = self._record, 0
        if record is None or record.left:
            swept = sweep(self.command.tag)
        if record is None:
            record = Record("lost", -signal.SIGKILL, why="its supervisor was killed", survivors=swept)
        _living.discard(self)
        if self._last_resort is not None:
            self._last_resort.cancel()
        self.ended.set_result(record)
        self._begin("")

    def _reaper_lives(self) -> bool:
        return self.reaper > 0 and is_alive(self.reaper) and start_time(self.reaper) == self.reaper_started


_living: set[Supervised] = set()
_refusals: list[str] = []
"""Why namespaces cannot be made here, once we know."""


async def start(command: Command, *, stdout: int, stderr: int, stdin: int = subprocess.DEVNULL) -> Supervised:
    """Start it; descriptors as for subprocess, of which it gets copies. When we return, it runs, or has run.

    Call from the main thread. Raises OSError when it cannot be started. Cancelled meanwhile, it ends what was started.
    """
    while True:
        has_namespace = command.namespaces and not _refusals
        one = Supervised(
            command, stdin=stdin, stdout=stdout, stderr=stderr, is_durable=command.output is not None,
            namespace=has_namespace,
        )  # fmt: skip
        try:
            refused = await asyncio.shield(one.begun)
        except asyncio.CancelledError:
            one.kill()
            await _end_of(one)
            raise
        if not refused:
            break
        _refusals.append(refused)
        await _end_of(one)
    if one.ended.done():
        _raise_if_not_started(one.ended.result(), command)
    return one


async def _end_of(one: Supervised) -> None:
    """However often we are cancelled meanwhile: it is not far."""
    while not one.ended.done():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait((one.ended,))


def _raise_if_not_started(record: Record, command: Command) -> None:
    if record.how == "not_started":
        raise OSError(record.errno, os.strerror(record.errno), record.why)
    if record.how == "lock_held":
        raise OSError(record.why)
    if record.how == "lost" and not command.record.exists():
        raise SupervisorLost("its supervisor was killed before it could begin")


def namespaces_refused() -> str:
    """Why no PID namespace can be made here; empty as long as none was refused."""
    return _refusals[0] if _refusals else ""


def end_all(limit_s: float) -> None:
    """Hang up on everything that runs and wait until it is dead, but no longer than this. Without a loop's help: for the
    moment before os._exit."""
    for one in tuple(_living):
        one.let_go()
    until = time.monotonic() + limit_s
    while time.monotonic() < until and not all(one.has_exited for one in _living):
        time.sleep(0.01)


def _order(command: Command, *, is_durable: bool, namespace: bool) -> dict[str, object]:
    """See child.py."""
    env = {os.fsencode(name): os.fsencode(value) for name, value in command.env.items()}
    return {
        "argv": [os.fsencode(part) for part in command.argv],
        "env": {**env, TAG.encode(): command.tag.encode()},
        "cwd": os.fsencode(command.cwd),
        "effect": command.tag,
        "boot": boot_id(),
        "lock": str(command.lock),
        "lock_wait_s": command.lock_wait_s,
        "record": str(command.record),
        "output": str(command.output or ""),
        "errors": str(command.errors or ""),
        "secrets": command.secrets,
        "wall_s": command.wall_s,
        "grace_s": command.grace_s,
        "namespace": namespace,
        "durable": is_durable,
        "seed": int.from_bytes(os.urandom(4), "little"),
    }


def _interpreter() -> tuple[str, ...]:
    """Isolated from the user's environment and packages, without a search for a locale."""
    return (sys.executable, "-I", "-S", "-X", "utf8", "-c")


def _root() -> Path:
    return Path(orchestrate.__file__).parent.parent
