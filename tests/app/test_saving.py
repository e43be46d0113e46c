"""Whatever way an attempt leaves the stage, and while it is on it, its work is under its private ref."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrate.app.order import Order
from orchestrate.app.planning import make_plan
from orchestrate.app.running import Ran, run_order
from orchestrate.core import events as ev
from orchestrate.core.names import AttemptKey, checkpoint_ref
from orchestrate.core.plan import Plan
from orchestrate.ports import Stored
from orchestrate.spec.load import load_project
from orchestrate.store.artifacts import StateDir
from orchestrate.store.log import SqliteEventLog
from tests.support.repos import Repo, frozen_environ

WORK = {"write": {"path": "work.txt", "text": "not committed\n"}}
STAY = [WORK, {"say": "At it."}, {"wait_for": {"path": "go-on", "seconds": 50}}]


def build(tmp_path: Path, *plays: list[object], every_seconds: float = 0.05, **project: object) -> Order:
    listed = {
        "project": {"agent": "scripted", "max_attempts": 1, "max_reworks": 0, "retry_backoff_seconds": 0, **project},
        "checkpoints": {"every_seconds": every_seconds},
        "scripted": {"script": "config/script.json"},
        "features": [{"id": "x", "prompt": "Do."}, {"id": "after", "prompt": "Do.", "depends_on": ["x"]}],
    }
    script = {"features": {"x": list(plays), "after": [[{"write": {"path": "after.txt", "text": "1\n"}}]]}}
    files = {
        "config/feature_list.json": json.dumps(listed),
        "config/script.json": json.dumps(script),
        "README.md": "#\n",
    }
    repo = Repo.make(tmp_path / "calc", files)
    environ = frozen_environ()
    loaded = load_project(start=repo.path, config=None, environ=environ, flags={})
    planned = make_plan(loaded, environ=environ)
    return Order(loaded, planned.repository, planned.plan, planned.base, "digest", environ)


class OnceSaved:
    """Does something as soon as the work has been saved while its agent works."""

    def __init__(self, order: Order, act: Callable[[str, Path], None]) -> None:
        self._repo, self._act = Repo(order.repository.toplevel), act
        self.saved: list[str] = []

    def __call__(self, run: str, plan: Plan) -> OnceSaved:
        return self

    def on_stored(self, stored: Stored) -> None:
        if isinstance(stored.event, ev.WorkSaved) and "work.txt" in self._repo.files(stored.event.commit):
            self.saved.append(stored.event.commit)
            if len(self.saved) == 1:
                self._act(stored.run, self._repo.path.parent / "calc.worktrees" / stored.run / "x.1")

    def say(self, text: str) -> None:
        pass


def kept(order: Order, ran: Ran) -> dict[str, str]:
    """What the private ref of the attempt holds."""
    return Repo(order.repository.toplevel).files(checkpoint_ref(AttemptKey(ran.run, "x", 1)))


def ask(order: Order, event: ev.Event) -> Callable[[str, Path], None]:
    def request(run: str, path: Path) -> None:
        with SqliteEventLog(StateDir(order.repository.common_dir).log) as log:
            log.request(run, event)

    return request


def go_on(run: str, path: Path) -> None:
    (path / "go-on").touch()


def test_while_an_agent_works(tmp_path: Path) -> None:
    order = build(tmp_path, STAY)
    watching = OnceSaved(order, go_on)
    assert run_order(order, watching).status == "done"
    assert len(watching.saved) >= 1


def test_never_when_it_is_turned_off(tmp_path: Path) -> None:
    order = build(tmp_path, [WORK], every_seconds=0)
    watching = OnceSaved(order, go_on)
    assert run_order(order, watching).status == "done"
    assert watching.saved == []


@pytest.mark.parametrize(
    ("play", "settings"),
    [
        pytest.param([WORK, {"exit": 3}], {}, id="the agent crashes"),
        pytest.param([WORK, {"fail": "model"}], {}, id="the agent refuses"),
        pytest.param([WORK, {"hang": 60}], {"timeout_seconds": 0.7}, id="it takes too long"),
        pytest.param([WORK], {"verify": ["false"]}, id="its checks fail"),
        pytest.param([WORK, {"run": "mkdir $(git rev-parse --git-dir)/rebase-merge"}], {}, id="it cannot be sealed"),
    ],
)
def test_when_it_fails(tmp_path: Path, play: list[object], settings: dict[str, object]) -> None:
    order = build(tmp_path, play, every_seconds=0, **settings)
    ran = run_order(order, OnceSaved(order, go_on))
    assert ran.status == "incomplete"
    assert kept(order, ran)["work.txt"] == "not committed"


@pytest.mark.parametrize(
    ("event", "status"),
    [
        (ev.CancelRequested(0.0, by="ada", features=("x",)), "incomplete"),
        (ev.StopRequested(0.0, "cancel", "ada"), "interrupted"),
    ],
)
def test_when_a_person_ends_it_and_after_more_was_done_since_the_last_save(
    tmp_path: Path, event: ev.Event, status: str
) -> None:
    order = build(tmp_path, STAY)

    def act(run: str, path: Path) -> None:
        (path / "later.txt").write_text("since then\n")
        ask(order, event)(run, path)

    ran = run_order(order, OnceSaved(order, act))
    assert ran.status == status
    assert {"work.txt", "later.txt"} <= kept(order, ran).keys()


def test_when_the_engine_was_killed_the_next_one_saves_it(tmp_path: Path) -> None:
    order = build(tmp_path, STAY, [{"say": "Was all done."}])
    ran = run_order(order, OnceSaved(order, ask(order, ev.StopRequested(0.0, "cancel", "ada"))))
    repo = Repo(order.repository.toplevel)
    path = repo.path.parent / "calc.worktrees" / ran.run / "x.1"
    (path / "unsaved.txt").write_text("by an agent whose engine is dead\n")
    repo.git("update-ref", "-d", checkpoint_ref(AttemptKey(ran.run, "x", 1)))
    again = run_order(replace(order, resume=ran.run), OnceSaved(order, go_on))
    assert again.status == "done"
    assert {"work.txt", "unsaved.txt"} <= kept(order, again).keys()
