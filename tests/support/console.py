"""The blocks of a Markdown page that can be run: files with a title, and commands with the output that they are said to have.

A `console` block has lines that begin with `$ `, each followed by its output. `…` alone stands for any lines.
Ids, times and sizes are compared by their form, blanks by their being there.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

RUN_ID = re.compile(r"\b\d{8}-\d{6}-[0-9a-f]{4}\b")

_FORMS = (
    (RUN_ID, "RUN"),
    (re.compile(r"\b\d{4}-\d\d-\d\d \d\d:\d\d\b"), "DATE"),
    (re.compile(r"\b\d\d:\d\d:\d\d\b"), "CLOCK"),
    (re.compile(r"\b\d+:\d\d\b"), "TIME"),
    (re.compile(r"\b[0-9a-f]{10,40}\b"), "COMMIT"),
    (re.compile(r"\b[\d.]+ k?B\b"), "SIZE"),
    (re.compile(r"\s+"), " "),
)

_FENCE = re.compile(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```$', re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class FileBlock:
    path: str
    text: str


@dataclass(frozen=True, slots=True)
class CommandBlock:
    command: str
    output: tuple[str, ...]


def parse_blocks(page: str) -> Iterator[FileBlock | CommandBlock]:
    """In the order of the page; all other blocks are for reading."""
    for kind, title, text in _FENCE.findall(page):
        if title:
            yield FileBlock(title, text)
        elif kind == "console":
            for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
                command, *output = part.splitlines()
                yield CommandBlock(command, tuple(output))


@dataclass
class Reader:
    """Somebody who does what the page says. root: where they begin; shown as `/home/you` in the page."""

    root: Path
    env: Mapping[str, str]
    cwd: Path = field(init=False)
    _said: list[str] = field(default_factory=list)
    _met: list[str] = field(default_factory=list)
    """Run ids in the order in which the page names them, and in which they came about here."""

    def __post_init__(self) -> None:
        self.cwd = self.root

    def follow(self, block: FileBlock | CommandBlock) -> str:
        """What is wrong; empty if everything is as the page says."""
        if isinstance(block, FileBlock):
            path = self.cwd / block.path
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text)
            return ""
        output = self._type(self._translated(block.command))
        for ids, text in ((self._said, "\n".join(block.output)), (self._met, output)):
            ids += [found for found in dict.fromkeys(RUN_ID.findall(text)) if found not in ids]
        if is_as_said(block.output, output.replace(str(self.root), "/home/you").splitlines()):
            return ""
        said = "\n".join(block.output)
        return f"$ {block.command}\n── the page says\n{said}\n── printed was\n{output}"

    def _translated(self, command: str) -> str:
        return RUN_ID.sub(lambda found: self._met[self._said.index(found[0])], command)

    def _type(self, command: str) -> str:
        """Both streams, in their order, as a terminal shows them."""
        place = self.root / ".place"
        script = f"{command}\ncode=$?; pwd > {place}; exit $code"
        done = subprocess.run(
            ["bash", "-c", script], cwd=self.cwd, env=self.env, stdin=subprocess.DEVNULL, timeout=60,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        )  # fmt: skip
        self.cwd = Path(place.read_text().strip())
        return done.stdout


def is_as_said(expected: Sequence[str], printed: Sequence[str]) -> bool:
    """Whether these lines were printed, and none besides but where `…` stands."""
    pattern = "".join("(?:.*\n)*?" if line == "…" else re.escape(formed(line)) + "\n" for line in expected)
    return re.fullmatch(pattern, "".join(f"{formed(line)}\n" for line in printed)) is not None


def formed(line: str) -> str:
    """The line with everything that differs from run to run put into one form."""
    for pattern, form in _FORMS:
        line = pattern.sub(form, line)
    return line.strip()
