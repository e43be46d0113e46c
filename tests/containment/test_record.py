"""Records and frames: what comes back is what was said, and what is damaged is nothing."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrate.supervise.child import GAP_S, gap
from orchestrate.supervise.files import rejoin, render, write_record
from orchestrate.supervise.record import Record, load_record, parse_record
from orchestrate.supervise.system import oom_kills, parse_oom_kills
from orchestrate.supervise.wire import Inbox, pack

RECORD = Record(
    "timeout",
    -15,
    28,
    'a "why" – with\n\\ and 🙂',
    12.5,
    14.0,
    1.5,
    2,
    1,
    True,
    "user",
    "/x: no room",
    "r.f.1.2",
    "boot",
    7,
)


def test_a_record_comes_back_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "agent-1.exit"
    assert write_record(str(path), asdict(RECORD), durable=True) == ""
    assert load_record(path) == RECORD
    assert os.listdir(tmp_path) == ["agent-1.exit"]


@given(st.text(), st.floats(allow_nan=False, allow_infinity=False), st.integers(), st.booleans())
def test_what_is_rendered_is_json(text: str, number: float, whole: int, flag: bool) -> None:
    fields = {text: text, "number": number, "whole": whole, "flag": flag, "none": None}
    assert json.loads(render(fields)) == fields


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[1]", b"\0" * 30, b'{"how": "so so"}', b'{"how": "exited", "exit_code": "0"}', b'{"exit_code": 0}',
     b'{"how": "exited", "oom": 1}', b'{"how": "exited", "duration_s": "long"}', b"\xff\xfe"],
)  # fmt: skip
def test_what_is_no_record_is_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.exit").write_bytes(content)
    assert load_record(tmp_path / "x.exit") is None
    assert load_record(tmp_path / "y.exit") is None


def test_a_later_version_may_say_more() -> None:
    assert parse_record({"how": "exited", "exit_code": 0, "mood": "fine"}) == Record("exited", 0)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_record_that_finds_no_room_says_so_and_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "agent-1.exit"
    Path(f"{path}.{os.getpid()}.new").symlink_to("/dev/full")
    assert "No space left" in write_record(str(path), asdict(RECORD), durable=False)
    assert os.listdir(tmp_path) == []


def test_parts_that_were_left_are_joined_older_first(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_bytes(b"head\n")
    for name, content, at in (("out.part1", b"older\n", 1), ("out.part0", b"newer\n", 2)):
        (tmp_path / name).write_bytes(content)
        os.utime(tmp_path / name, (at, at))
    rejoin(str(path))
    lines = path.read_bytes().splitlines()
    assert lines[0] == b"head" and lines[-2:] == [b"older", b"newer"] and os.listdir(tmp_path) == ["out"]


@given(st.lists(st.tuples(st.text(), st.binary(), st.integers())), st.integers(1, 7))
def test_frames_may_come_cut_anywhere(values: list[tuple[str, bytes, int]], step: int) -> None:
    data, inbox = b"".join(map(pack, values)), Inbox()
    assert [v for at in range(0, len(data), step) for v in inbox.feed(data[at : at + step])] == values


def test_who_was_stopped_while_it_waited_is_given_the_time_back() -> None:
    assert gap(100.0, 5.0, 105.1) == 0.0
    assert gap(100.0, 5.0, 105.0 + GAP_S) == 0.0
    assert gap(100.0, 5.0, 165.0) == 60.0
    assert gap(100.0, 0.0, 100.0) == 0.0


@pytest.mark.parametrize(
    ("text", "count"),
    [(b"nr_free 1\noom_kill 3\n", 3), (b"oom_kill_disable 0\nunder_oom 0\noom_kill 0\n", 0), (b"oom 4\noom_group_kill 2\n", None), (b"", None)],
)  # fmt: skip
def test_the_systems_count_of_kills_for_want_of_memory(text: bytes, count: int | None) -> None:
    assert parse_oom_kills(text) == count
    assert oom_kills() >= 0
