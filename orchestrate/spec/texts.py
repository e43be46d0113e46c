"""Text files that a configuration names: prompts, context, template, script. Found in two folders, read without escape.

Invariant: what is read lies under the folder it was looked for in: no `..`, no symbolic link at any step, a regular
file of bounded size. (openat with O_NOFOLLOW for every component, so that nothing can be swapped in between.)
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

PROMPTS_DIR = "prompts"

MAX_PROMPT_BYTES = 256 * 1024
"""Longest prompt. It travels on stdin, so this bounds cost, not an argument list."""

_ABSENT = (errno.ENOENT, errno.ENAMETOOLONG)


class TextRefused(Exception):
    """The file cannot be used. message follows after the file's name; hint says what to do."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Text:
    path: Path
    text: str


def load_text(folders: Sequence[Path], written: str, *, limit: int = MAX_PROMPT_BYTES) -> Text:
    """The file that `written` names, with or without a leading `prompts/`, in the first folder that has it.

    Raises TextRefused: also for a file that is empty, blank, or not UTF-8.
    """
    for folder, relative in _candidates(folders, written):
        content = _read_beneath(folder, relative, limit)
        if content is not None:
            return Text(folder / relative, _decode(content))
    places = " or ".join(str(folder) for folder in folders)
    raise TextRefused("does not exist", f"create it, in {places}, with or without `{PROMPTS_DIR}/` before it")


def load_any_text(folders: Sequence[Path], written: str, *, limit: int) -> Text:
    """As load_text, but an absolute path may stand anywhere: for files that only the user's own settings name."""
    path = Path(written).expanduser()
    if path.is_absolute():
        return load_text((path.resolve().parent,), path.resolve().name, limit=limit)
    return load_text(folders, written, limit=limit)


def _candidates(folders: Sequence[Path], written: str) -> list[tuple[Path, Path]]:
    if written.startswith(("/", "~")):
        raise TextRefused("is an absolute path", "write it relative to the repository")
    parts = [part for part in written.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise TextRefused("leads out of the project with `..`", "write it relative to the repository")
    if not parts:
        raise TextRefused("names no file", "name a file, such as prompts/login.md")
    other = parts[1:] if parts[0] == PROMPTS_DIR else [PROMPTS_DIR, *parts]
    spellings = [Path(*parts), *([Path(*other)] if other else [])]
    return [(folder, spelling) for folder in folders for spelling in spellings]


def _read_beneath(folder: Path, relative: Path, limit: int) -> bytes | None:
    """Content of the file, None if there is none. Raises TextRefused."""
    try:
        here = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        for part in relative.parts[:-1]:
            deeper = _step(here, part, os.O_DIRECTORY)
            if deeper is None:
                return None
            os.close(here)
            here = deeper
        found = _step(here, relative.parts[-1], os.O_NONBLOCK)
    finally:
        os.close(here)
    if found is None:
        return None
    try:
        return _content(found, limit)
    finally:
        os.close(found)


def _step(here: int, name: str, flag: int) -> int | None:
    """Open one component without following it; None if it is not there."""
    try:
        return os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | flag, dir_fd=here)
    except OSError as error:
        if error.errno in _ABSENT:
            return None
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            if stat.S_ISLNK(os.stat(name, dir_fd=here, follow_symlinks=False).st_mode):
                raise TextRefused("leads over a symbolic link", "name the file itself") from None
            return None
        raise TextRefused(f"cannot be read: {error.strerror}", "check its permissions") from None


def _content(descriptor: int, limit: int) -> bytes:
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        kind = "a directory" if stat.S_ISDIR(status.st_mode) else "not a regular file"
        raise TextRefused(f"is {kind}", "name a text file")
    if status.st_size > limit:
        raise TextRefused(f"has {status.st_size:,} bytes; at most {limit:,} are read", "shorten it")
    content = b""
    while chunk := os.read(descriptor, limit + 1 - len(content)):
        content += chunk
        if len(content) > limit:
            raise TextRefused(f"grew past {limit:,} bytes while it was read", "shorten it")
    return content


def _decode(content: bytes) -> str:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise TextRefused(f"is not UTF-8 (line {line})", "save it as UTF-8") from None
    if problem := text_problem(text):
        raise TextRefused(problem, "write down what is to be done")
    return text


def text_problem(text: str) -> str:
    """Why a text is no prompt; empty if it is one."""
    if not text.strip():
        return "is empty" if not text else "holds nothing but white space"
    if "\x00" in text:
        return "contains a NUL character"
    return ""
