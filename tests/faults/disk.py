"""A small disk of our own, in a mount namespace of its own: it can be made full, and larger, and vanishes with its holder.

As root, or with a user namespace; where neither works, tests are skipped with the reason.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path


@cache
def why_no_disk() -> str:
    """Why no disk can be made here; empty: it can."""
    for tool in ("unshare", "nsenter", "mount"):
        if shutil.which(tool) is None:
            return f"there is no `{tool}`"
    done = subprocess.run(
        [*_UNSHARE, "mount", "-t", "tmpfs", "-o", "size=1m", "none", "/tmp"],
        capture_output=True,
        text=True,
        check=False,
    )
    return "" if done.returncode == 0 else f"no file system can be mounted: {done.stderr.strip()}"


_IS_ROOT = os.geteuid() == 0
_UNSHARE = ("unshare", "--mount") if _IS_ROOT else ("unshare", "--user", "--map-root-user", "--mount")


@dataclass(frozen=True)
class Disk:
    """A tmpfs on `path`, for those who enter; `seen` is the same from outside. holder: process that keeps it alive."""

    path: Path
    holder: int

    @property
    def seen(self) -> Path:
        return Path(f"/proc/{self.holder}/root{self.path}")

    def entering(self, *argv: str | Path, cwd: Path | None = None) -> list[str]:
        """The command line that runs `argv` where the disk is."""
        user = () if _IS_ROOT else ("--user", "--preserve-credentials")
        enter = ("nsenter", "--target", str(self.holder), "--mount", *user, "--")
        return [*enter, "sh", "-c", 'cd "$0" && exec "$@"', str(cwd or self.path), *map(str, argv)]

    def run(
        self, *argv: str | Path, cwd: Path | None = None, env: Mapping[str, str] | None = None, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            self.entering(*argv, cwd=cwd), env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
            check=False,
        )  # fmt: skip
        assert not check or done.returncode == 0, f"{argv}: {done.stderr}"
        return done

    def resize(self, size: int) -> None:
        """Bytes, rounded up to pages."""
        self.run("mount", "-o", f"remount,size={-(-size // 4096) * 4096}", self.path, cwd=Path("/"))

    def leave_free(self, amount: int) -> None:
        self.resize(self.used() + amount)

    def make_read_only(self) -> None:
        self.run("mount", "-o", "remount,ro", self.path, cwd=Path("/"))

    def used(self) -> int:
        stat = os.statvfs(self.seen)
        return (stat.f_blocks - stat.f_bfree) * stat.f_frsize

    def free(self) -> int:
        stat = os.statvfs(self.seen)
        return stat.f_bavail * stat.f_frsize


@contextmanager
def mounted(path: Path, size: int) -> Iterator[Disk]:
    """A disk of so many bytes on a directory that exists."""
    program = 'mount -t tmpfs -o "size=$1" none "$0" && echo ready && exec sleep 1000000'
    holder = subprocess.Popen(
        [*_UNSHARE, "sh", "-c", program, str(path), str(size)],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert holder.stdout is not None
    try:
        assert holder.stdout.readline() == "ready\n"
        yield Disk(path, holder.pid)
    finally:
        os.killpg(holder.pid, signal.SIGKILL)
        holder.wait()
        holder.stdout.close()


def clean_environment(home: Path, **more: str) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": str(home), "LC_ALL": "C.UTF-8", "TZ": "UTC", **more}


def lines_of(text: str) -> Sequence[str]:
    return [line for line in text.splitlines() if line]
