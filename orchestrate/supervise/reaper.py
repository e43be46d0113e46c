"""The parent of the command's tree: process 1 of its namespace, or else the one that adopts its orphans.

It starts the command, reaps whoever ends, passes signals on and tells the supervisor how the command ended. Invariant: when
it ends, or its supervisor does, so does the tree: by the kernel's hand in a namespace, by its own without.
"""

from __future__ import annotations

import _signal
import errno
import os
import select

from . import system
from .wire import send

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing takes a third of the interpreter's start
    from typing import NoReturn

KILL_TREE = 255
"""As a byte on the way down, in place of a signal's number."""


class Reaper:
    """order: see child.py. up, down: pipes to and from the supervisor. stdio: descriptors that become the command's 0, 1
    and 2. ignored: the signals that the engine was told to ignore by those who started it."""

    def __init__(
        self, order: dict[str, object], *, is_init: bool, up: int, down: int, stdio: tuple[int, int, int],
        ignored: frozenset[int],
    ) -> None:  # fmt: skip
        self._order, self._is_init, self._up, self._down = order, is_init, up, down
        self._stdio, self._ignored = stdio, ignored
        self._wake = -1

    def run(self) -> NoReturn:
        """In a process of its own, which it does not outlive."""
        system.set_name(b"orchestrate-one" if self._is_init else b"orchestrate-kin")
        if self._is_init:
            system.die_with_parent()  # else we have to outlive it for a moment: nobody but us can end the tree
            if why := system.mount_own_proc():
                send(self._up, ("refused", why))
                os._exit(0)
            seed = self._order["seed"]
            assert isinstance(seed, int)
            system.spread_pids(seed)
        else:
            system.adopt_orphans()
        self._wake, wakes = os.pipe()
        for fd in (self._wake, wakes):
            os.set_blocking(fd, False)
        _signal.signal(_signal.SIGCHLD, lambda number, frame: None)
        _signal.set_wakeup_fd(wakes)
        command = self._start()
        try:
            self._serve(command)
        finally:
            os._exit(0)

    def _serve(self, command: int) -> None:
        poll = select.poll()
        poll.register(self._down, select.POLLIN)
        poll.register(self._wake, select.POLLIN)
        while True:
            for fd, _ in poll.poll():
                if fd == self._wake:
                    os.read(self._wake, 4096)
                elif not self._obey(command):
                    return
            ended = system.reap()
            if command in ended:
                self._conclude(ended[command])
                return

    def _obey(self, command: int) -> bool:
        """Do as the supervisor says. False: all is over."""
        numbers = os.read(self._down, 64)
        if not numbers or KILL_TREE in numbers:
            if not self._is_init:  # else our end is theirs
                ended, killed, left = system.kill_descendants()
                if numbers:
                    send(self._up, ("ended", ended.get(command, system.KILL), max(0, killed - 1), left))
            return False
        for number in numbers:
            try:
                os.killpg(command, number)
            except (ProcessLookupError, PermissionError):
                continue
        return True

    def _conclude(self, status: int) -> None:
        """The command has ended by itself: what it left behind ends now."""
        system.reap()
        if self._is_init:
            send(self._up, ("ended", status, system.others_here(), 0))
            return
        if not system.IS_LINUX:
            try:
                os.killpg(self._group, system.KILL)
            except (ProcessLookupError, PermissionError):
                pass
        _, killed, left = system.kill_descendants()
        send(self._up, ("ended", status, killed, left))

    # ── the command ──────────────────────────────────────────────────────────────────────────────────────────────

    def _start(self) -> int:
        """Process id of the command, which runs by now. Where it cannot, the supervisor is told and we are gone."""
        said, says = os.pipe()
        self._group = command = os.fork()
        if command == 0:
            self._become_command(says)
        os.close(says)
        problem = os.read(said, 4096)
        os.close(said)
        null = os.open(os.devnull, os.O_RDWR)
        for fd in self._stdio:
            if fd > 2:
                os.close(fd)
        for fd in (0, 1, 2):
            os.dup2(null, fd, inheritable=False)
        if problem:
            number, _, what = problem.partition(b" ")
            send(self._up, ("failed", int(number), what.decode("utf-8", "replace")))
            os._exit(0)
        send(self._up, ("running",))
        return command

    def _become_command(self, says: int) -> NoReturn:
        """In the child: the command, or the error number and what it is about to `says`."""
        order = self._order
        what = b"the system's limits"
        try:
            os.setsid()
            if not self._is_init:
                system.die_with_parent()
            system.volunteer_for_oom()
            for number in (_signal.SIGINT, _signal.SIGHUP, _signal.SIGTERM):
                _signal.signal(number, _signal.SIG_IGN if number in self._ignored else _signal.SIG_DFL)
            for number in (_signal.SIGPIPE, _signal.SIGXFSZ):  # the interpreter ignores them
                _signal.signal(number, _signal.SIG_DFL)
            # Above the ones that are replaced first.
            spare = [os.dup(fd) for fd in self._stdio]
            for target, fd in enumerate(spare):
                os.dup2(fd, target)
            argv, env, cwd = order["argv"], order["env"], order["cwd"]
            assert isinstance(argv, list) and isinstance(env, dict) and isinstance(cwd, bytes)
            what = cwd
            os.chdir(cwd)
            what = argv[0]
            os.execvpe(argv[0], argv, env)  # noqa: S606 - what all this is for
        except OSError as error:
            os.write(says, b"%d %s" % (error.errno or errno.EIO, what[:1024]))
        except ValueError:  # a NUL in it
            os.write(says, b"%d %s" % (errno.EINVAL, what[:1024]))
        finally:
            os._exit(127)
