"""A small engine of its own: a program that runs one command under the real supervisor, to be stopped in every way.

`python -m tests.support.engines DIRECTORY`: reads what to run from `order.json` there; prints a line once it runs, and the
record once it has ended. A line on stdin: walk the ladder.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import signal
import subprocess
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

from orchestrate.process import prepare_loop
from orchestrate.supervise.door import Command, start
from orchestrate.supervise.orphans import is_held
from orchestrate.supervise.record import Record, load_record

ROOT = Path(__file__).parents[2]


@dataclass
class EngineProcess:
    """directory: its own; lock, record: of its command; supervisor: its process id."""

    directory: Path
    child: subprocess.Popen[bytes]
    supervisor: int = 0
    reaper: int = 0

    @property
    def lock(self) -> Path:
        return self.directory / "attempt.lock"

    @property
    def is_locked(self) -> bool:
        return is_held(self.lock)

    @property
    def record(self) -> Record | None:
        return load_record(self.directory / "check.exit")

    def stop(self) -> None:
        assert self.child.stdin is not None
        self.child.stdin.write(b"stop\n")
        self.child.stdin.flush()

    def ended(self) -> dict[str, Any]:
        """The record as the engine heard it."""
        assert self.child.stdout is not None
        told: dict[str, Any] = json.loads(self.child.stdout.readline())
        return told


@contextmanager
def engine(directory: Path, *argv: str, stdin: int = subprocess.PIPE, **order: Any) -> Iterator[EngineProcess]:
    """One that runs argv, and has said so. order: fields of supervise.door.Command. Killed when the block is left."""
    (directory / "order.json").write_text(json.dumps({"argv": argv, **order}))
    child = subprocess.Popen(
        [sys.executable, "-m", "tests.support.engines", str(directory)],
        cwd=ROOT, stdin=stdin, stdout=subprocess.PIPE, start_new_session=True,
        env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "HOME": str(directory)},
    )  # fmt: skip
    try:
        assert child.stdout is not None
        said = json.loads(child.stdout.readline() or "{}")
        yield EngineProcess(directory, child, **said)
    finally:
        child.kill()
        child.wait()
        for stream in (child.stdin, child.stdout):
            if stream is not None:
                stream.close()


def alive(marker: str) -> list[int]:
    """Ids of the living processes whose command line contains the marker."""
    found = []
    for process in psutil.process_iter():
        try:
            if any(marker in part for part in process.cmdline()) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
        except psutil.Error:
            continue
    return found


# ── the program ──────────────────────────────────────────────────────────────────────────────────────────────────


async def _run(directory: Path) -> None:
    prepare_loop()
    order: dict[str, Any] = json.loads((directory / "order.json").read_text())
    if os.isatty(0):  # as a shell does for its session
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    paths = {"lock": directory / "attempt.lock", "record": directory / "check.exit", "cwd": directory}
    env = {"PATH": os.environ["PATH"]}
    command = Command(**{"tag": f"test.{os.getpid()}", "env": env, **paths, **order})
    null = os.open(os.devnull, os.O_WRONLY)
    child = await start(command, stdout=null, stderr=null)
    print(json.dumps({"supervisor": child.pid, "reaper": child.reaper}), flush=True)
    asyncio.get_running_loop().add_reader(0, _stop, child.signal, child.kill)
    print(json.dumps(asdict(await child.ended)), flush=True)


def _stop(send: Any, kill: Any) -> None:
    asyncio.get_running_loop().remove_reader(0)
    if os.read(0, 100):
        send(signal.SIGTERM)
        asyncio.get_running_loop().call_later(0.1, kill)


if __name__ == "__main__":
    asyncio.run(_run(Path(sys.argv[1])))
