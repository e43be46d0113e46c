"""What a supervisor leaves on the disk: output in files of bounded size, how it ended in a record, who it is in the lock.

Invariant: no fault of a file ends the command; a record is there whole or not at all.
"""

from __future__ import annotations

import fcntl
import os

FILE_LIMIT = 64 * 1024 * 1024
"""Bytes kept of one output: the first half, and the last part of the rest."""


class CappedFile:
    """A file that only its owner may read, with the head and the tail of what is written to it. It is made by the first
    write, which may be empty: most agents have nothing to say on stderr.

    Past half the limit, output goes round in two part files of a quarter each; close() appends what they hold. A disk
    that is full, or any other fault of the file, ends the writing and nothing else; `problem` says so.
    """

    def __init__(self, path: str, limit: int = FILE_LIMIT) -> None:
        self.path = path
        self.problem = ""
        self._limit = limit
        self._size = 0
        self._written = 0
        self._fd = -1
        self._parts = (f"{path}.part0", f"{path}.part1")
        self._part = -1
        self._is_made = False

    def write(self, data: bytes) -> None:
        self._written += len(data)
        view = memoryview(data)
        try:
            if not self._is_made:
                self._make()
            while view and self._fd >= 0:
                room = (self._limit // 2 if self._part < 0 else self._limit // 4) - self._size
                if room <= 0:
                    self._turn()
                    continue
                _write_all(self._fd, view[:room])
                self._size += min(room, len(view))
                view = view[room:]
        except OSError as error:
            self._fail(error)

    def close(self) -> None:
        if self._fd < 0:
            return
        try:
            os.close(self._fd)
            self._fd = -1
            if self._part >= 0:
                self._join()
        except OSError as error:
            self._fail(error)

    def _make(self) -> None:
        self._is_made = True
        os.makedirs(os.path.dirname(self.path), mode=0o700, exist_ok=True)
        self._fd = _open(self.path)

    def _turn(self) -> None:
        """Go on in the other part file, from its start."""
        os.close(self._fd)
        self._fd = -1
        self._part += 1
        self._fd = _open(self._parts[self._part % 2])
        self._size = 0

    def _join(self) -> None:
        """Head, a line that says what is missing, then the parts, older first."""
        order = [self._parts[(self._part + 1) % 2], self._parts[self._part % 2]]
        parts = [part for part in order if os.path.exists(part)]
        kept = sum(os.path.getsize(part) for part in (*parts, self.path))
        with open(self.path, "ab") as whole:
            if missing := self._written - kept:
                whole.write(b'\n{"type":"orchestrate","left_out_bytes":%d}\n' % missing)
            for part in parts:
                with open(part, "rb") as source:
                    while block := source.read(1 << 20):
                        whole.write(block)
                os.unlink(part)

    def _fail(self, error: OSError) -> None:
        self.problem = f"{self.path}: {error.strerror or error}"
        if self._fd >= 0:
            try:
                os.close(self._fd)
            except OSError:
                pass
        self._fd = -1


def rejoin(path: str) -> None:
    """Give an output back its tail, where whoever wrote it was killed before it could: none is lost that was written.

    Which of the two parts is the older one, their times say.
    """
    parts = [part for part in (f"{path}.part0", f"{path}.part1") if os.path.exists(part)]
    if not parts:
        return
    with open(path, "ab") as whole:
        whole.write(b'\n{"type":"orchestrate","left_out_bytes":null}\n')
        for part in sorted(parts, key=lambda part: os.stat(part).st_mtime_ns):
            with open(part, "rb") as source:
                while block := source.read(1 << 20):
                    whole.write(block)
            os.unlink(part)


def _open(path: str) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o600)


def _write_all(fd: int, view: memoryview) -> None:
    """A full disk may take a part without complaint; the rest then says why."""
    while view:
        view = view[os.write(fd, view) :]


# ── the record, and the lock ─────────────────────────────────────────────────────────────────────────────────────


def write_record(path: str, record: dict[str, object], *, durable: bool) -> str:
    """The record as JSON, whole or not at all; durable: it outlives a loss of power too. Why it failed, or empty."""
    new = f"{path}.{os.getpid()}.new"
    try:
        fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            _write_all(fd, memoryview(render(record).encode()))
            if durable:
                os.fsync(fd)
        finally:
            os.close(fd)
        os.rename(new, path)
    except OSError as error:
        try:
            os.unlink(new)
        except OSError:
            pass
        return f"{path}: {error.strerror or error}"
    return ""


def open_lock(path: str) -> int:
    """Descriptor of the lock file, not locked yet. Raises OSError."""
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def try_lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def sign_lock(fd: int, holder: dict[str, object]) -> None:
    """Say who holds it. A full disk leaves it unsigned, and held all the same."""
    try:
        os.ftruncate(fd, 0)
        os.pwrite(fd, render(holder).encode(), 0)
    except OSError:
        pass


def render(fields: dict[str, object]) -> str:
    """A flat JSON object, one line. (Importing json takes half as long as starting the interpreter.)"""
    return "{" + ", ".join(f"{_text(name)}: {_value(value)}" for name, value in fields.items()) + "}\n"


def _value(value: object) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return repr(value) if isinstance(value, int | float) else _text(str(value))


def _text(text: str) -> str:
    escaped = (c if c.isascii() and c.isprintable() and c not in '"\\' else _escape(ord(c)) for c in text)
    return f'"{"".join(escaped)}"'


def _escape(code: int) -> str:
    if code < 0x10000:
        return f"\\u{code:04x}"
    code -= 0x10000
    return f"\\u{0xD800 + (code >> 10):04x}\\u{0xDC00 + (code & 0x3FF):04x}"
