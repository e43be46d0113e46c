"""What reaches a running agent: messages and requests on stdin, signals, the end of a command it waits for.

Invariant: everything is heard at one place, listen(), which alone can end a play.
"""

from __future__ import annotations

import json
import os
import select
import signal
import time
from collections.abc import Callable
from typing import Any


class Ended(Exception):
    """Somebody wants us to stop. how: `SIGINT`, `SIGTERM` or `control`."""

    def __init__(self, how: str) -> None:
        super().__init__(how)
        self.how = how


class Ears:
    """stdin in stream-json, and signals."""

    def __init__(self, answer: Callable[[dict[str, Any]], None]) -> None:
        self.answer = answer
        self.ignore = False
        self.messages: list[str] = []
        self.at_end = False
        self._signal = ""
        self._buffer = b""
        self._wake, wake_end = os.pipe()
        for fd in (self._wake, wake_end):
            os.set_blocking(fd, False)
        signal.set_wakeup_fd(wake_end, warn_on_full_buffer=False)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, _frame: object) -> None:
        self._signal = signal.Signals(number).name

    def next_message(self) -> str | None:
        """The next prompt; None when there will be none. Waits as long as it takes."""
        while not self.messages and not self.at_end:
            self._hear(None)
        return self.messages.pop(0) if self.messages else None

    def listen(self, seconds: float) -> None:
        """Wait that long. Raises Ended as soon as somebody wants us to stop."""
        until = time.monotonic() + seconds
        self._hear(0.0)
        while (left := until - time.monotonic()) > 0:
            self._hear(min(left, 3600.0))

    def run_command(self, argv: list[str]) -> tuple[int, bytes]:
        """Exit code and output of a command, run in a session of its own as the real one does. Ended with us."""
        import subprocess

        child = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        assert child.stdout is not None
        fd, output, is_open = child.stdout.fileno(), [], True
        try:
            while is_open or child.poll() is None:
                ready = self._hear(0.05 if is_open else 0.01, fd if is_open else -1)
                if ready:
                    chunk = os.read(fd, 65536)
                    output.append(chunk)
                    is_open = bool(chunk)
                elif child.poll() is not None:
                    break  # gone, while something it left behind holds its output
        except Ended:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
            raise
        finally:
            child.stdout.close()
        return child.wait(), b"".join(output)

    def _hear(self, timeout: float | None, other: int = -1) -> bool:
        """Wait for anything at most that long. Returns whether the other descriptor can be read."""
        watched = [self._wake] + ([] if self.at_end else [0]) + ([other] if other >= 0 else [])
        ready, _, _ = select.select(watched, [], [], timeout)
        if self._wake in ready:
            os.read(self._wake, 4096)
        if 0 in ready:
            self._read()
        if self._signal:
            how, self._signal = self._signal, ""
            if not self.ignore:
                raise Ended(how)
        return other in ready

    def _read(self) -> None:
        chunk = os.read(0, 1 << 20)
        if not chunk:
            self.at_end = True
        *lines, self._buffer = (self._buffer + chunk).split(b"\n")
        for line in lines:
            if line.strip():
                self._take(json.loads(line))

    def _take(self, message: dict[str, Any]) -> None:
        if message.get("type") == "user":
            content = message["message"]["content"]
            if not isinstance(content, str):
                content = "\n".join(block.get("text", "") for block in content)
            self.messages.append(content)
        elif message.get("type") == "control_request":
            self.answer(message)
            if message["request"].get("subtype") == "interrupt" and not self.ignore:
                raise Ended("control")
