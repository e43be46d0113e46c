"""The same with the whole program: a run whose agent lets daemons escape, ended in every way."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrate.supervise.orphans import load_holder
from tests.e2e.conftest import project as project  # noqa: PLC0414 - the fixture
from tests.e2e.project import RUN, Project, Running
from tests.support.engines import alive

from .conftest import has_namespaces, until


@pytest.fixture(params=["auto", "off"])
def pid_namespace(request: pytest.FixtureRequest) -> str:
    if request.param == "auto" and not has_namespaces():
        pytest.skip("no PID namespace can be made here")
    return str(request.param)


class Escapade:
    """A project whose agent has let two daemons go, one of which is not to be recognised as its own, and waits."""

    def __init__(self, project: Project, pid_namespace: str, *before: str, **feature: object) -> None:
        self.project = project
        self.sleeper = project.home / "sleeper"
        self.sleeper.symlink_to("/bin/sleep")
        self.gate = project.gate("gate")
        daemons = f"setsid {self.sleeper} 1000 & (env -i setsid {self.sleeper} 1000 <&- >&- 2>&- &)"
        play = [*before, {"run": daemons}, *self.gate.stop]
        project.arrange(
            [{"id": "wild", "prompt": "p", "max_attempts": 1, **feature}],
            script={"wild": [play, [{"write": {"path": "done.txt", "text": "done\n"}}]]},
            containment={"pid_namespace": pid_namespace},
        )

    @property
    def survivors(self) -> list[int]:
        return alive(str(self.sleeper))


def two_ctrl_c(run: Running) -> None:
    run.press_ctrl_c()
    run.wait_for("StopRequested", how="drain")
    run.press_ctrl_c()


def terminate(run: Running) -> None:
    run.signal(signal.SIGTERM)


def hang_up(run: Running) -> None:
    run.signal(signal.SIGHUP)


@pytest.mark.parametrize(("end", "code"), [(two_ctrl_c, 130), (terminate, 143), (hang_up, 143)])
def test_when_the_prompt_is_back_nothing_is_alive(
    project: Project, pid_namespace: str, end: Callable[[Running], None], code: int
) -> None:
    wild = Escapade(project, pid_namespace)
    with project.running(*RUN) as run:
        wild.gate.reached()
        assert len(wild.survivors) == 2
        end(run)
        ended = run.ended()
        assert wild.survivors == []
    assert ended.code == code, str(ended)


def test_the_third_ctrl_c_waits_for_nobody_and_leaves_nothing(project: Project, pid_namespace: str) -> None:
    wild = Escapade(project, pid_namespace, "ignore_signals")
    with project.running(*RUN) as run:
        wild.gate.reached()
        two_ctrl_c(run)
        run.wait_for("StopRequested", how="cancel")
        run.press_ctrl_c()
        ended = run.ended()
        assert wild.survivors == []
    assert ended.code == 130 and not ended.of("RunEnded"), str(ended)


def test_a_timeout_ends_what_escaped(project: Project, pid_namespace: str) -> None:
    wild = Escapade(project, pid_namespace, timeout_seconds=3)
    with project.running(*RUN) as run:
        wild.gate.reached()
        ended = run.ended()
    assert [e["end"] for e in ended.of("InvocationFinished")] == ["timed_out"], str(ended)
    assert wild.survivors == []


def test_kill_9_ends_what_escaped_and_the_next_engine_knows_how(project: Project, pid_namespace: str) -> None:
    wild = Escapade(project, pid_namespace)
    with project.running(*RUN) as run:
        wild.gate.reached()
        run.child.kill()
        run.ended()
        until(lambda: wild.survivors == [])
    wild.gate.open()
    rest = project.orchestrate(*RUN)
    assert rest.code == 0, str(rest)
    cut_off = rest.of("InvocationFinished")[0]
    assert (cut_off["end"], cut_off["exit_code"], cut_off["why"]) == ("interrupted", -9, "the engine was stopped")
    assert cut_off["duration_s"] > 0


def test_supervisors_that_were_stopped_and_have_lost_their_lock_are_ended_by_the_next_engine(
    project: Project, pid_namespace: str
) -> None:
    wild = Escapade(project, pid_namespace)
    state = Path(project.git("rev-parse", "--path-format=absolute", "--git-common-dir")) / "orchestrate"
    with project.running(*RUN) as run:
        wild.gate.reached()
        [lock] = state.glob("runs/*/artifacts/wild/1/attempt.lock")
        holder = load_holder(lock)
        assert holder is not None
        for pid in holder.living:
            os.kill(pid, signal.SIGSTOP)
        run.child.kill()
        run.ended()
        lock.unlink()
        assert len(wild.survivors) == 2
    wild.gate.open()
    rest = project.orchestrate(*RUN)
    assert rest.code == 0, str(rest)
    assert wild.survivors == []


def test_checks_are_contained_too(project: Project, pid_namespace: str) -> None:
    sleeper = project.home / "sleeper"
    sleeper.symlink_to("/bin/sleep")
    check = f"env -i setsid {sleeper} 1000 <&- >&- 2>&- & exit 0"
    project.arrange(
        [{"id": "a", "prompt": "p", "verify": [check], "setup": [check]}],
        script={"a": [[{"write": {"path": "a.txt", "text": "a\n"}}]]},
        containment={"pid_namespace": pid_namespace},
    )
    ended = project.orchestrate(*RUN)
    assert ended.code == 0, str(ended)
    assert alive(str(sleeper)) == []
    state = Path(project.git("rev-parse", "--path-format=absolute", "--git-common-dir")) / "orchestrate"
    assert len(list(state.glob("runs/*/artifacts/a/1/*.exit"))) >= 3
