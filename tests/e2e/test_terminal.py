"""What a person at a terminal is asked and shown, and what their Ctrl-C does."""

from __future__ import annotations

import shutil

import pytest

from tests.e2e import diamond
from tests.e2e.project import Project
from tests.e2e.terminal import CTRL_C, at_terminal

pytestmark = pytest.mark.skipif(shutil.which("setsid") is None, reason="needs setsid, of util-linux")


def test_nothing_is_done_before_the_person_has_agreed(project: Project) -> None:
    project.arrange(diamond.features(), script=diamond.script())

    with at_terminal(project, "run") as terminal:
        terminal.see("Proceed? [y/N]")
        terminal.type("n\n")
        assert terminal.ended() == 1

    assert project.branches() == []
    assert not (project.root / ".git" / "orchestrate").exists()


def test_ctrl_c_at_the_keyboard_drains_and_what_is_shown_says_how_to_go_on(project: Project) -> None:
    gate = project.gate("gate")
    project.arrange(diamond.features(), script=diamond.script(base=[[*gate.stop, diamond.write("base")]]))

    with at_terminal(project, "run") as terminal:
        terminal.see("Proceed? [y/N]")
        terminal.type("y\n")
        gate.reached()
        terminal.type(CTRL_C)
        terminal.see("stopping")
        gate.open()
        assert terminal.ended() == 130

    assert "orchestrate resume" in terminal.screen
    features = project.report()["features"]
    assert {f["id"]: f["status"] for f in features} == {
        "base": "integrated",
        "left": "ready",
        "right": "ready",
        "top": "waiting",
    }


def test_the_third_ctrl_c_leaves_at_once_and_says_what_is_kept(project: Project) -> None:
    gate = project.gate("gate")
    deaf = [{"ignore_signals": {}}, *gate.stop]
    project.arrange(diamond.features(), script=diamond.script(base=[deaf]))

    with at_terminal(project, "run") as terminal:
        terminal.see("Proceed? [y/N]")
        terminal.type("y\n")
        gate.reached()
        terminal.type(CTRL_C)
        terminal.see("Ctrl-C again ends them now")
        terminal.type(CTRL_C)
        terminal.see("Ctrl-C again leaves at once")
        terminal.type(CTRL_C)
        terminal.see("left at once")
        assert terminal.ended() == 130

    assert "`orchestrate resume` goes on" in terminal.screen
