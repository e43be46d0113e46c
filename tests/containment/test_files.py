"""What a supervisor writes: output that keeps head and tail, records, locks."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from orchestrate.supervise.files import CappedFile


def write(path: Path, limit: int, pieces: list[bytes]) -> bytes:
    file = CappedFile(str(path), limit)
    for piece in pieces:
        file.write(piece)
    file.close()
    assert not file.problem
    return path.read_bytes()


def test_a_small_output_is_kept_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "out"
    assert write(path, 1000, [b"one\n", b"two\n"]) == b"one\ntwo\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_file_is_made_by_its_first_write(tmp_path: Path) -> None:
    file = CappedFile(str(tmp_path / "silent"))
    file.close()
    assert os.listdir(tmp_path) == [] and not file.problem
    assert write(tmp_path / "empty", 1000, [b""]) == b""


@pytest.mark.parametrize("piece", [1, 7, 64, 100, 1000, 5000])
def test_an_output_at_the_limit_is_kept_whole(tmp_path: Path, piece: int) -> None:
    data = bytes(range(200)) * 5
    assert write(tmp_path / "out", 1000, [data[n : n + piece] for n in range(0, len(data), piece)]) == data


@pytest.mark.parametrize("piece", [1, 7, 64, 100, 1000, 5000])
def test_of_a_long_output_head_and_tail_are_kept(tmp_path: Path, piece: int) -> None:
    data = b"".join(b"%05d\n" % n for n in range(1000))
    kept = write(tmp_path / "out", 1200, [data[n : n + piece] for n in range(0, len(data), piece)])
    head, _, rest = kept.partition(b'\n{"type":"orchestrate","left_out_bytes":')
    missing, _, tail = rest.partition(b"}\n")
    assert data.startswith(head) and data.endswith(tail)
    assert len(head) == 600 and 300 <= len(tail) <= 600
    assert int(missing) == len(data) - len(head) - len(tail)
    assert os.listdir(tmp_path) == ["out"]


def test_a_file_that_cannot_be_written_is_said_and_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    file = CappedFile(str(tmp_path / "file" / "out"))
    file.write(b"x")
    file.close()
    assert "out" in file.problem


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_said_and_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "out").symlink_to("/dev/full")
    file = CappedFile(str(tmp_path / "out"))
    file.write(b"x")
    file.write(b"y")
    file.close()
    assert "No space left" in file.problem
