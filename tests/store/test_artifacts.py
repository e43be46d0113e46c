"""Where files lie, and that they are whole."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from orchestrate.core.names import AttemptKey
from orchestrate.store.artifacts import StateDir, make_private, write_atomically

RUN = "20261121-111415-7f3a"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_layout(tmp_path: Path) -> None:
    state = StateDir(tmp_path)
    root = tmp_path / "orchestrate"
    assert (state.log, state.engine_lock) == (root / "log.sqlite3", root / "engine.lock")
    assert state.worktree_lock == root / "worktree.lock"
    assert state.plan(RUN) == root / "runs" / RUN / "plan.json"
    assert state.report_json(RUN) == root / "runs" / RUN / "report.json"
    assert state.report_markdown(RUN) == root / "runs" / RUN / "report.md"
    assert state.attempt_dir(AttemptKey(RUN, "api", 2)) == root / "runs" / RUN / "artifacts" / "api" / "2"


def test_two_ways_to_one_repository_share_one_state(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    assert StateDir(tmp_path / "link").root == StateDir(tmp_path / "real").root


def test_asking_for_paths_makes_nothing(tmp_path: Path) -> None:
    state = StateDir(tmp_path)
    state.report_json(RUN)
    state.attempt_dir(AttemptKey(RUN, "api", 1))
    assert os.listdir(tmp_path) == []


def test_create_is_for_the_owner_alone_and_may_be_repeated(tmp_path: Path) -> None:
    state = StateDir(tmp_path)
    assert state.create() == state.create() == state.root
    assert mode(state.root) == 0o700


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", "/etc", "a\0b"])
def test_no_name_leads_out(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="cannot be the name"):
        StateDir(tmp_path).run_dir(name)
    with pytest.raises(ValueError, match="cannot be the name"):
        StateDir(tmp_path).attempt_dir(AttemptKey(RUN, name, 1))


def test_make_private_leaves_existing_directories_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o755)
    make_private(tmp_path / "open" / "a" / "b")
    assert [mode(tmp_path / "open" / p) for p in ("", "a", "a/b")] == [0o755, 0o700, 0o700]


def test_writes_replace_the_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "new" / "report.json"
    write_atomically(path, "a long first text\n")
    write_atomically(path, "2\r\n")
    assert path.read_bytes() == b"2\r\n"
    assert mode(path) == 0o600
    assert os.listdir(path.parent) == ["report.json"]


def test_what_is_no_text_is_escaped(tmp_path: Path) -> None:
    write_atomically(tmp_path / "x", "a\ud800é")
    assert (tmp_path / "x").read_text() == "a\\ud800é"


def test_a_failed_write_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path) -> None:
    target = tmp_path / "report.json"
    target.mkdir()  # cannot be replaced by a file
    with pytest.raises(OSError, match="directory"):
        write_atomically(target, "text")
    assert os.listdir(tmp_path) == ["report.json"]
