"""Seven ways to escape × five ways to end, in both modes, and the death of the supervisor itself: nothing is left alive."""

from __future__ import annotations

import os
import pty
import signal
from pathlib import Path

import pytest

from tests.support.engines import EngineProcess, alive, engine

from .conftest import ESCAPES, escape_script, until


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Its name is on the command line of all that is started in it."""
    path = tmp_path / f"survivors-{os.getpid()}"
    path.mkdir()
    return path


def escaped(one: EngineProcess) -> None:
    """Wait until the escape has happened, and is seen."""
    until((one.directory / "ready").exists, "the escape")
    until(lambda: len(alive(f"{one.directory}/")) >= 2, "a second process")


def assert_none_left(one: EngineProcess) -> None:
    """Everything is dead as soon as the lock is free."""
    until(lambda: not one.is_locked, "the release of the lock")
    assert alive(f"{one.directory}/") == []


def stop(one: EngineProcess) -> None:
    one.stop()
    assert one.ended()["how"] in ("killed", "exited")


def kill_engine(one: EngineProcess) -> None:
    one.child.kill()
    one.child.wait()


def terminate_engine(one: EngineProcess) -> None:
    one.child.terminate()
    one.child.wait()


ENDS = {"stop": stop, "kill -9 of the engine": kill_engine, "TERM to the engine": terminate_engine}


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("escape", ESCAPES)
def test_none_survives(directory: Path, escape: str, end: str, namespaces: bool) -> None:
    with engine(directory, *escape_script(directory, escape), namespaces=namespaces) as one:
        escaped(one)
        ENDS[end](one)
        assert_none_left(one)
    assert one.record is not None and not one.record.left


@pytest.mark.parametrize("escape", ESCAPES)
def test_none_survives_the_wall_clock(directory: Path, escape: str, namespaces: bool) -> None:
    order = {"wall_s": 2.0, "grace_s": 0.1, "namespaces": namespaces}
    with engine(directory, *escape_script(directory, escape), **order) as one:
        assert one.ended()["how"] == "timeout"
        assert (directory / "ready").exists(), "the escape was too slow"
        assert_none_left(one)


@pytest.mark.parametrize("escape", ESCAPES)
def test_none_survives_the_end_of_the_terminal(directory: Path, escape: str, namespaces: bool) -> None:
    terminal, theirs = pty.openpty()
    with engine(directory, *escape_script(directory, escape), stdin=theirs, namespaces=namespaces) as one:
        os.close(theirs)
        escaped(one)
        os.close(terminal)
        assert one.child.wait() == -signal.SIGHUP
        assert_none_left(one)


@pytest.mark.parametrize("who", ["supervisor", "reaper"])
@pytest.mark.parametrize("escape", ESCAPES)
def test_none_survives_the_death_of_its_supervisor(directory: Path, escape: str, who: str, namespaces: bool) -> None:
    with engine(directory, *escape_script(directory, escape), namespaces=namespaces) as one:
        escaped(one)
        os.kill(one.supervisor if who == "supervisor" else one.reaper, signal.SIGKILL)
        told = one.ended()
        assert (told["how"], told["exit_code"]) == ("lost", -9)
        assert alive(f"{directory}/") == []
        assert not one.is_locked
