"""What the machine has left, as the system tells it."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrate.descriptors import agents_that_fit, descriptor_limit, descriptors_left, raise_descriptor_limit
from orchestrate.engine.vitals import MIB, file_system_of, memory_left, read_vitals


@pytest.fixture
def limits() -> Iterator[tuple[int, int]]:
    """The limits of this process, put back afterwards. The hard one can only be lowered, so it stays."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield before
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_a_reading_of_this_machine(tmp_path: Path) -> None:
    vitals = read_vitals((tmp_path / "not" / "yet", tmp_path))
    (volume,) = vitals.volumes
    assert volume.place == str(tmp_path / "not" / "yet"), "one file system, read once"
    stat = os.statvfs(tmp_path)
    assert abs(volume.free - stat.f_bavail * stat.f_frsize) < 10**9
    assert not volume.read_only
    assert vitals.elapsed >= vitals.awake - 1
    assert vitals.wall > 1_600_000_000
    assert not (tmp_path / "not").exists(), "reading makes nothing"


def test_the_soft_limit_is_raised_to_the_hard_one(limits: tuple[int, int]) -> None:
    _, hard = limits
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
    assert descriptor_limit() == 64
    raised = raise_descriptor_limit()
    assert raised == descriptor_limit() > 64
    assert hard == resource.RLIM_INFINITY or raised <= hard


def test_what_is_open_is_not_left(limits: tuple[int, int]) -> None:
    before = descriptors_left()
    assert before is not None
    fd = os.open(os.devnull, os.O_RDONLY)
    assert descriptors_left() == before - 1
    os.close(fd)
    assert descriptors_left() == before


@pytest.mark.parametrize(
    ("left", "wanted", "fit"), [(None, 5, 5), (10**6, 5, 5), (50, 5, 3), (26, 5, 1), (25, 5, 0), (0, 1, 0)]
)
def test_how_many_agents_fit(left: int | None, wanted: int, fit: int) -> None:
    assert agents_that_fit(left, wanted) == fit


def test_memory_is_what_programs_can_have_of_machine_and_control_group(tmp_path: Path) -> None:
    proc, group = tmp_path / "proc", tmp_path / "cgroup"
    assert memory_left(proc, group) is None
    proc.mkdir()
    (proc / "meminfo").write_text("MemTotal: 9000000 kB\nMemAvailable:  2048000 kB\nSwapFree:  1024000 kB\n")
    assert memory_left(proc, group) == 3000 * MIB
    group.mkdir()
    (group / "memory.max").write_text("max\n")
    assert memory_left(proc, group) == 3000 * MIB
    (group / "memory.max").write_text(f"{500 * MIB}\n")
    (group / "memory.current").write_text(f"{450 * MIB}\n")
    (group / "memory.stat").write_text(f"anon 1\ninactive_file {100 * MIB}\n")
    assert memory_left(proc, group) == 150 * MIB


def test_the_kind_of_a_file_system_is_that_of_the_nearest_mount(tmp_path: Path) -> None:
    mounts = tmp_path / "mounts"
    inner = tmp_path / "a b"
    inner.mkdir()
    written = str(inner).replace(" ", "\\040")
    mounts.write_text(f"/dev/x / ext4 rw 0 0\nserver:/y {written} nfs4 rw 0 0\nnone /dev/shm tmpfs rw 0 0\n")
    assert file_system_of(inner / "deep" / "file", mounts) == "nfs4"
    assert file_system_of(tmp_path / "a", mounts) == "ext4"
    assert file_system_of(inner, tmp_path / "nothing") == ""
