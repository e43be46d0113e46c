"""Records real runs of the installed command with the scripted agent: `python -m tests.replay.live v0.2`, once a release.

What names the machine (directories, host, user) is replaced; everything else is as it was written.
"""

from __future__ import annotations

import getpass
import json
import re
import signal
import socket
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from orchestrate.store.log import SqliteEventLog
from tests.e2e import diamond
from tests.e2e.project import RUN, Json, Project
from tests.replay.recording import HERE, load_scenario, render_line, render_report, render_state

BROKEN = {"write": {"path": "left.py", "text": "LEFT = 0\n"}}


def passes_with_rework(project: Project) -> None:
    """All integrated; one feature's check fails first, and the same session mends it."""
    works = [[BROKEN], [{"expect": "left is right"}, diamond.write("left")]]
    project.arrange(diamond.features(), script=diamond.script(left=works))
    assert project.orchestrate(*RUN).code == 0


def killed_and_resumed(project: Project) -> None:
    """The engine is killed while an agent works, whose work is there but not committed; then it is gone on with."""
    gate = project.gate("gate")
    works = [[diamond.write("left"), *gate.stop], [{"expect": "left"}]]
    project.arrange(diamond.features(), script=diamond.script(left=works))
    with project.running(*RUN) as run:
        gate.reached()
        run.wait_for("AttemptEnded", feature="right")
        run.signal(signal.SIGKILL)
        run.ended()
    assert project.orchestrate("resume", "--json").code == 0


def paused_and_answered(project: Project) -> None:
    """Paused from another terminal with its agent ended, given an answer, resumed; stopped; gone on with."""
    gate, other = project.gate("gate"), project.gate("other")
    plays = diamond.script(
        base=[[*gate.stop], [{"expect": "Mind the gap."}, diamond.write("base")]],
        left=[[*other.stop, diamond.write("left")]],
    )
    project.arrange(diamond.features(), script=plays)
    with project.running(*RUN) as run:
        gate.reached()
        project.orchestrate("pause", "--now")
        run.wait_for("AttemptParked", feature="base")
        assert project.orchestrate("answer", "base", "Mind the gap.").code == 0
        gate.open()
        project.orchestrate("resume")
        other.reached()
        project.orchestrate("stop")
        run.wait_for("StopRequested")
        other.open()
        run.ended()
    assert project.orchestrate("resume", "--json").code == 0


def cancelled_and_tried_again(project: Project) -> None:
    """A feature is given up and its dependent skipped; both are tried again on the same branch."""
    gate = project.gate("gate")
    project.arrange(diamond.features(), script=diamond.script(left=[[*gate.stop, diamond.write("left")]]))
    with project.running(*RUN) as run:
        gate.reached()
        project.orchestrate("cancel", "left")
        assert run.ended().code == 1
    gate.open()
    assert project.orchestrate("retry", "--yes", "--json").code == 0


def left_by_a_dead_engine(project: Project) -> None:
    """The log as it lies there when nobody has gone on yet."""
    gate = project.gate("gate")
    project.arrange(diamond.features(), script=diamond.script(right=[[*gate.stop, diamond.write("right")]]))
    with project.running(*RUN) as run:
        gate.reached()
        run.wait_for("AttemptEnded", feature="left")
        run.signal(signal.SIGKILL)
        run.ended()
    gate.open()


STORIES: tuple[Callable[[Project], None], ...] = (
    passes_with_rework,
    killed_and_resumed,
    paused_and_answered,
    cancelled_and_tried_again,
    left_by_a_dead_engine,
)


def anonymous(line: str, directory: Path) -> str:
    """One line of the log, as of Ada at her laptop, whose projects lie in /home/ada."""
    line = line.replace(str(directory), "/home/ada").replace(socket.gethostname(), "laptop")
    line = line.replace(f"{getpass.getuser()}@", "ada@")
    return re.sub(r"(?<![\w.-])/(?:tmp|root|work)/[^\s\"',:;]*", "/usr/local/elsewhere", line)


def record(release: str, tell: Callable[[Project], None]) -> None:
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name).resolve()
        project = Project(directory)
        tell(project)
        with SqliteEventLog(project.root / ".git/orchestrate/log.sqlite3", read_only=True) as log:
            [run] = log.runs()
            lines = [anonymous(render_line(stored), directory) for stored in log.read(run)]
    path = HERE / release / f"real_{tell.__name__}.jsonl"
    path.write_text("".join(lines))
    scenario = load_scenario(path)
    path.with_suffix(".report.json").write_text(render_report(scenario))
    state: Json = render_state(scenario)
    path.with_suffix(".state.json").write_text(json.dumps(state, indent=2) + "\n")


if __name__ == "__main__":
    (HERE / sys.argv[1]).mkdir(exist_ok=True)
    for story in STORIES:
        record(sys.argv[1], story)
        print(story.__name__)
