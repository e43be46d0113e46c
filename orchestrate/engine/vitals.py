"""What the machine has left, read: room on disks, descriptors, memory, and its clocks. Says nothing of what follows.

Invariant: reading changes nothing and needs nothing that may have run out, but for one descriptor at a time; what the
system does not tell is None.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from orchestrate.descriptors import descriptors_left

from .clock import elapsed, wall

MIB = 2**20


@dataclass(frozen=True, slots=True)
class Volume:
    """A file system that we write to. place: a path on it. free: bytes that we may still use. files: as many files may
    still be made; None where the system keeps no such count. read_only: nothing can be written at all."""

    place: str
    free: int
    files: int | None = None
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class Vitals:
    """One reading. descriptors: how many this process may still open. memory: bytes that programs may still have.

    unusable: why the repository cannot be used; empty as far as is known. wall: Unix seconds. elapsed: seconds with sleep, awake: seconds without, from beginnings of their own.
    """

    volumes: tuple[Volume, ...]
    descriptors: int | None
    memory: int | None
    wall: float
    elapsed: float
    awake: float
    unusable: str = ""


def read_vitals(places: Iterable[Path]) -> Vitals:
    """places: directories that are written to; one that does not exist yet stands for its nearest parent."""
    return Vitals(read_volumes(places), descriptors_left(), memory_left(), wall(), elapsed(), time.monotonic())


def read_volumes(places: Iterable[Path]) -> tuple[Volume, ...]:
    """Each file system once. One that cannot be asked (a server that is away) is left out."""
    found: dict[int, Volume] = {}
    for place in places:
        there = place
        while not there.exists() and there != there.parent:
            there = there.parent
        with suppress(OSError):
            device, stat = there.stat().st_dev, os.statvfs(there)
            files = stat.f_favail if stat.f_files else None
            volume = Volume(str(place), stat.f_bavail * stat.f_frsize, files, bool(stat.f_flag & os.ST_RDONLY))
            found.setdefault(device, volume)
    return tuple(found.values())


def memory_left(proc: Path = Path("/proc"), cgroup: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Bytes, with what is free of the swap; the least of what the machine and our control group have.

    https://docs.kernel.org/filesystems/proc.html#meminfo https://docs.kernel.org/admin-guide/cgroup-v2.html#memory
    """
    left = [amount for amount in (_machine_memory(proc), _group_memory(cgroup)) if amount is not None]
    return min(left, default=None)


def _machine_memory(proc: Path) -> int | None:
    with suppress(OSError, ValueError, IndexError, KeyError):
        lines = (proc / "meminfo").read_text().splitlines()
        kib = {name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in lines)}
        return (kib["MemAvailable"] + kib.get("SwapFree", 0)) * 1024
    return None


def _group_memory(cgroup: Path) -> int | None:
    """What a container may still use: its limit less what it uses, but for file contents that can be dropped."""
    with suppress(OSError, ValueError):
        limit = (cgroup / "memory.max").read_text().strip()
        if limit != "max":
            used = int((cgroup / "memory.current").read_text())
            stat = dict(line.split() for line in (cgroup / "memory.stat").read_text().splitlines())
            return max(0, int(limit) - used + int(stat.get("inactive_file", 0)))
    return None


# ── kinds of file systems ────────────────────────────────────────────────────────────────────────────────────────

SHARED = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "fuse.sshfs", "afs", "ceph", "glusterfs", "drvfs"})
"""File systems that other hosts may write to at the same time, or that lock files in their own way."""


def file_system_of(place: Path, mounts: Path = Path("/proc/self/mounts")) -> str:
    """Kind of the file system that holds the place, as the system names it; empty where it does not tell."""
    found, longest = "", -1
    try:
        lines = mounts.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return ""
    there = place.resolve()
    for line in lines:
        fields = line.split()
        point = Path(fields[1].replace("\\040", " "))
        if (there == point or point in there.parents) and len(point.parts) > longest:
            found, longest = fields[2], len(point.parts)
    return found
