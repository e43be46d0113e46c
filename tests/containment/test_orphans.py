"""What a dead engine left is found by the locks of its attempts, and ended before anything new begins."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrate.process import boot_id, is_alive, start_time, tagged
from orchestrate.supervise.files import open_lock, sign_lock, try_lock
from orchestrate.supervise.orphans import Holder, end_orphans, held_locks, is_held, load_holder
from tests.support.engines import alive, engine

from .conftest import escape_script, until

RUN = "20261121-111415-7f3a"


@pytest.fixture
def attempt(tmp_path: Path) -> Path:
    directory = tmp_path / "runs" / RUN / "artifacts" / "auth" / "1"
    directory.mkdir(parents=True)
    return directory


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    child = subprocess.Popen(["sleep", "1000"])
    yield child
    child.kill()
    child.wait()


def holder_of(pid: int) -> Holder:
    return Holder(boot_id(), pid, start_time(pid), 0, "", "effect")


def test_who_holds_a_lock_is_told_from_others_with_the_same_id(sleeper: subprocess.Popen[bytes]) -> None:
    holder = holder_of(sleeper.pid)
    assert holder.living == (sleeper.pid, 0)
    assert replace(holder, started="1").living == (0, 0)  # the id is in use again
    assert replace(holder, boot="another start of the machine").living == (0, 0)
    assert replace(holder, started="").living == (0, 0)  # not known


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_zombie_is_dead(sleeper: subprocess.Popen[bytes]) -> None:
    holder = holder_of(sleeper.pid)
    sleeper.kill()
    until(lambda: "State:\tZ" in Path(f"/proc/{sleeper.pid}/status").read_text())
    assert start_time(sleeper.pid) == holder.started and holder.living == (0, 0)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"pid": 1}', '{"pid": "x"}', "\0" * 40])
def test_a_damaged_signature_names_nobody(tmp_path: Path, content: str) -> None:
    (tmp_path / "attempt.lock").write_text(content)
    assert load_holder(tmp_path / "attempt.lock") is None
    assert load_holder(tmp_path / "none.lock") is None
    assert not is_held(tmp_path / "none.lock")


def test_a_lock_that_nobody_holds_costs_nobody_his_life(attempt: Path, sleeper: subprocess.Popen[bytes]) -> None:
    """Its supervisor is dead; the id in it is somebody else's by now."""
    fd = open_lock(str(attempt / "attempt.lock"))
    assert try_lock(fd)
    sign_lock(fd, {"boot": boot_id(), "pid": sleeper.pid, "started": start_time(sleeper.pid), "reaper": 0,
                   "reaper_started": "", "effect": "e"})  # fmt: skip
    assert list(held_locks(attempt.parents[1])) == [attempt / "attempt.lock"]
    os.close(fd)
    assert list(held_locks(attempt.parents[1])) == []
    assert end_orphans(attempt.parents[3], [RUN]) == 0
    assert sleeper.poll() is None


def test_a_supervisor_that_is_at_it_is_waited_for(attempt: Path, namespaces: bool) -> None:
    with engine(attempt, *escape_script(attempt, "clean daemon"), namespaces=namespaces) as one:
        until((attempt / "ready").exists)
        one.child.kill()
        one.child.wait()
        assert end_orphans(attempt.parents[3], [RUN]) == 0
        assert alive(f"{attempt}/") == []
        assert one.record is not None and one.record.how == "engine_gone"


def test_a_supervisor_that_is_not_is_killed(attempt: Path, namespaces: bool) -> None:
    """Somebody stopped it. Its tree dies with it."""
    with engine(attempt, *escape_script(attempt, "clean daemon"), namespaces=namespaces) as one:
        until((attempt / "ready").exists)
        os.kill(one.supervisor, signal.SIGSTOP)
        one.child.kill()
        one.child.wait()
        assert end_orphans(attempt.parents[3], [RUN], patience_s=0.1) >= 1
        until(lambda: alive(f"{attempt}/") == [])
        assert not one.is_locked


def test_runs_that_were_not_asked_for_are_left_alone(attempt: Path) -> None:
    with engine(attempt, "sleep", "1000") as one:
        assert end_orphans(attempt.parents[3], ["20261121-111415-0000"]) == 0
        assert end_orphans(attempt.parents[3], []) == 0
        assert one.is_locked and one.child.poll() is None


def test_stopped_supervisors_without_a_lock_go_on_and_end_their_trees(attempt: Path) -> None:
    """Without namespaces nobody else ends what has wiped its environment; and somebody has removed what names them."""
    script = escape_script(attempt, "clean daemon")
    with engine(attempt, *script, namespaces=False, tag=f"{RUN}.auth.1.2") as one:
        until((attempt / "ready").exists)
        keepers = (one.reaper, one.supervisor)
        for pid in keepers:
            os.kill(pid, signal.SIGSTOP)
        one.child.kill()
        one.child.wait()
        (attempt / "attempt.lock").unlink()
        end_orphans(attempt.parents[3], [RUN])
        assert alive(f"{attempt}/") == [] == tagged(RUN)
        assert not any(map(is_alive, keepers))
