"""A command at a terminal, with a person at it who reads and types."""

from __future__ import annotations

import fcntl
import os
import re
import select
import struct
import subprocess
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.e2e.project import COMMAND, PATIENCE_S, Project

CTRL_C = "\x03"
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """screen: everything that was shown so far, without colours and cursor movements."""

    def __init__(self, master: int, child: subprocess.Popen[bytes]) -> None:
        self._master = master
        self._child = child
        self._shown = b""

    @property
    def screen(self) -> str:
        return _CONTROL.sub("", self._shown.decode(errors="replace")).replace("\r", "")

    def see(self, text: str) -> None:
        """Read until the text is on the screen. Fails when the command ends first, or after PATIENCE_S."""
        until = time.monotonic() + PATIENCE_S
        while text not in self.screen:
            assert self._read(until), f"never saw {text!r}\n{self.screen[-3000:]}"

    def type(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    def ended(self) -> int:
        """Read to the end; the exit code."""
        until = time.monotonic() + PATIENCE_S
        while self._read(until):
            pass
        return self._child.wait(timeout=PATIENCE_S)

    def _read(self, until: float) -> bool:
        if not select.select([self._master], [], [], max(0.0, until - time.monotonic()))[0]:
            return False
        try:
            self._shown += (chunk := os.read(self._master, 65_536))
        except OSError:  # what Linux says once nobody has the other side open
            return False
        return bool(chunk)


@contextmanager
def at_terminal(project: Project, *args: str) -> Iterator[Terminal]:
    """The command as the foreground process of a terminal of 100 columns; killed if it is still there at the end."""
    master, slave = os.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
    env = {**project.env, "TERM": "xterm-256color"}
    # setsid --ctty makes the terminal the command's own, so that its Ctrl-C reaches the command.
    argv = ["setsid", "--ctty", "--wait", str(COMMAND), *args]
    child = subprocess.Popen(argv, cwd=project.root, env=env, stdin=slave, stdout=slave, stderr=slave)
    os.close(slave)
    try:
        yield Terminal(master, child)
    finally:
        if child.poll() is None:
            child.kill()
            child.wait()
        os.close(master)
