"""A run put together from its real parts: git, checks, the scripted agent; and which run is gone on with."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrate.app.order import Order
from orchestrate.app.planning import make_plan
from orchestrate.app.preflight import require_ready
from orchestrate.app.running import Follower, is_grave, run_order
from orchestrate.app.unfinished import last_run, last_unfinished_run
from orchestrate.core import events as ev
from orchestrate.core.plan import Plan
from orchestrate.errors import ExitCode, InputRefused
from orchestrate.ports import Stored
from orchestrate.spec.load import load_project
from orchestrate.store.artifacts import StateDir
from orchestrate.store.log import SqliteEventLog
from tests.support.repos import Repo, frozen_environ

LIST = {
    "project": {"name": "Calculator", "agent": "scripted", "retry_backoff_seconds": 0.05, "verify": ["sh check.sh"]},
    "scripted": {"script": "config/script.json"},
    "features": [{"id": "sub", "prompt": "Subtract."}, {"id": "mul", "prompt": "Multiply.", "depends_on": ["sub"]}],
}


def play(name: str) -> list[list[dict[str, object]]]:
    return [[{"write": {"path": f"{name}.txt", "text": f"{name}\n"}}]]


class Silent:
    def __init__(self, run: str, plan: Plan) -> None:
        self.events: list[ev.Event] = []

    def on_stored(self, stored: Stored) -> None:
        self.events.append(stored.event)

    def say(self, text: str) -> None:
        pass


def build_order(path: Path, script: dict[str, object], *, check: str = "test -f sub.txt\n") -> Order:
    repo = Repo.make(
        path / "calc",
        {
            "config/feature_list.json": json.dumps(LIST),
            "config/script.json": json.dumps({"version": 1, "features": script}),
            "check.sh": check,
        },
    )
    environ = frozen_environ()
    loaded = load_project(start=repo.path, config=None, environ=environ, flags={})
    planned = make_plan(loaded, environ=environ)
    return Order(loaded, planned.repository, planned.plan, planned.base, "digest", environ)


def follow(run: str, plan: Plan) -> Follower:
    return Silent(run, plan)


def run_cut_off(order: Order) -> str:
    """Id of a run whose engine died when `mul` was about to begin."""
    ran = run_order(order, follow)
    state = StateDir(order.repository.common_dir)
    with SqliteEventLog(state.log) as log:
        events = [s.event for s in log.read(ran.run)]
    cut = next(n for n, e in enumerate(events) if isinstance(e, ev.AttemptStarted) and e.feature == "mul")
    state.log.rename(state.log.with_suffix(".old"))
    with SqliteEventLog(state.log) as log:
        log.append(ran.run, events[: cut + 1])
    Repo(order.repository.toplevel).git("update-ref", "-d", f"refs/heads/orch/{ran.run}/feature/mul/1")
    return ran.run


def test_a_plan_becomes_one_branch_and_a_report(tmp_path: Path) -> None:
    order = build_order(tmp_path, {"sub": play("sub"), "mul": play("mul")})
    ran = run_order(order, follow)
    assert (ran.status, ran.code) == ("done", ExitCode.DONE)
    report = json.loads(ran.report_file.read_text())
    assert [f["outcome"] for f in report["features"]] == ["integrated", "integrated"]
    names = Repo(order.repository.toplevel).git("ls-tree", "--name-only", f"orch/{ran.run}/integration")
    assert {"sub.txt", "mul.txt"} <= set(names.splitlines())
    assert last_run(StateDir(order.repository.common_dir)) is None


def test_what_cannot_be_mended_is_incomplete_and_says_why(tmp_path: Path) -> None:
    order = build_order(tmp_path, {"sub": play("sub"), "mul": play("mul")}, check="echo broken; exit 3\n")
    ran = run_order(order, follow)
    assert (ran.status, ran.code) == ("incomplete", ExitCode.INCOMPLETE)
    features = {f["id"]: f for f in json.loads(ran.report_file.read_text())["features"]}
    assert features["sub"]["outcome"] == "failed" and "checks failed" in features["sub"]["why"]
    assert features["mul"]["outcome"] == "skipped" and "sub" in features["mul"]["why"]


@pytest.mark.parametrize("act", [("update-ref", "{ref}", "main"), ("update-ref", "-d", "{ref}")])
def test_a_result_that_somebody_took_away_is_no_success(tmp_path: Path, act: tuple[str, ...]) -> None:
    order = build_order(tmp_path, {"sub": play("sub"), "mul": play("mul")})
    repo = Repo(order.repository.toplevel)

    class Meddler(Silent):
        def on_stored(self, stored: Stored) -> None:
            if isinstance(stored.event, ev.RunEnded):
                repo.git(*(part.format(ref=f"refs/heads/orch/{stored.run}/integration") for part in act))

    ran = run_order(order, Meddler)
    assert (ran.status, ran.code) == ("done", ExitCode.INCOMPLETE)
    assert any("lacks what was integrated; to put it back: git branch -f" in w.message for w in ran.report.warnings)


def test_what_passes_only_beside_ignored_files_is_not_integrated(tmp_path: Path) -> None:
    made = [
        [{"write": {"path": ".gitignore", "text": "build/\n"}}, {"write": {"path": "build/made.txt", "text": "made\n"}}]
    ]
    order = build_order(tmp_path, {"sub": made, "mul": play("mul")}, check="test -f build/made.txt\n")
    ran = run_order(order, follow)
    assert (ran.status, ran.code) == ("incomplete", ExitCode.INCOMPLETE)
    assert "checks failed after merging" in next(f.why for f in ran.report.features if f.id == "sub")


def test_a_run_that_was_cut_off_is_found_and_gone_on_with(tmp_path: Path) -> None:
    order = build_order(tmp_path, {"sub": play("sub"), "mul": play("mul")})
    state, run = StateDir(order.repository.common_dir), run_cut_off(order)
    unfinished = last_run(state)
    assert unfinished is not None and (unfinished.run, unfinished.inputs) == (run, "digest")
    again = run_order(
        Order(order.loaded, order.repository, order.plan, order.base, "digest", order.environ, resume=run), follow
    )
    assert (again.run, again.status) == (run, "done")
    with SqliteEventLog(state.log) as log:
        started = [s.event.feature for s in log.read(run) if isinstance(s.event, ev.InvocationStarted)]
    assert started.count("sub") == 1, "verified work is not paid for twice"


def test_an_engine_that_died_before_its_report_has_not_finished(tmp_path: Path) -> None:
    order = build_order(tmp_path, {"sub": play("sub"), "mul": play("mul")})
    ran = run_order(order, follow)
    ran.report_file.unlink()
    state = StateDir(order.repository.common_dir)
    found = last_run(state)
    assert found is not None and found.run == ran.run
    again = run_order(replace(order, resume=ran.run), follow)
    assert (again.run, again.status, again.code) == (ran.run, "done", ExitCode.DONE)
    with SqliteEventLog(state.log) as log:
        invoked = [s for s in log.read(ran.run) if isinstance(s.event, ev.InvocationStarted)]
    assert len(invoked) == 2, "nothing was paid for again"
    assert ran.report_file.exists() and last_run(state) is None


def test_an_unfinished_run_is_still_found_when_another_was_started_beside_it(tmp_path: Path) -> None:
    order = build_order(tmp_path, {"sub": play("sub"), "mul": play("mul")})
    run = run_cut_off(order)
    state = StateDir(order.repository.common_dir)
    beside = run_order(order, follow)
    assert beside.status == "done" and beside.run != run
    assert last_run(state) is None
    found = last_unfinished_run(state)
    assert found is not None and found.run == run
    assert run_order(replace(order, resume=run), follow).status == "done"
    assert last_unfinished_run(state) is None


def test_an_agent_that_is_not_there_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    order = build_order(tmp_path, {"sub": play("sub")})
    (order.repository.toplevel / "config" / "script.json").unlink()
    with pytest.raises(InputRefused) as refused:
        require_ready(order)
    assert any("scripted" in p.where for p in refused.value.problems)
    assert not StateDir(order.repository.common_dir).root.exists()


def test_a_run_goes_on_under_the_names_and_in_the_place_that_it_began_with(tmp_path: Path) -> None:
    order = build_order(tmp_path, {"sub": play("sub"), "mul": play("mul")})
    run = run_cut_off(order)
    elsewhere = str(tmp_path / "elsewhere")
    flags = {"branch_prefix": "later", "worktrees_dir": elsewhere}
    moved = load_project(start=order.loaded.root, config=None, environ=order.environ, flags=flags)
    again = run_order(replace(order, loaded=moved, resume=run), follow)
    assert again.status == "done"
    repo = Repo(order.repository.toplevel)
    assert {"sub.txt", "mul.txt"} <= set(
        repo.git("ls-tree", "--name-only", again.report.run.integration_branch).splitlines()
    )
    assert "later/" not in repo.git("for-each-ref")
    assert not Path(elsewhere).exists()


def test_an_agent_that_plants_a_hook_is_no_success(tmp_path: Path) -> None:
    plants = [[{"run": 'd="$(git rev-parse --git-common-dir)/hooks"; mkdir -p "$d"; echo "#!/bin/sh" > "$d/pre-push"'}]]
    order = build_order(tmp_path, {"sub": play("sub"), "mul": [[*plants[0], *play("mul")[0]]]})
    ran = run_order(order, follow)
    assert (ran.status, ran.code) == ("done", ExitCode.INCOMPLETE)
    assert any("hooks/pre-push appeared" in w["message"] for w in json.loads(ran.report_file.read_text())["warnings"])


def test_what_people_do_during_a_run_is_not_grave() -> None:
    assert [is_grave(what) for what in ("config changed", "hooks/pre-push appeared", "info/attributes changed")] == [
        True
    ] * 3
    assert not any(is_grave(what) for what in ("refs/heads/main changed", "HEAD changed", "the index changed"))
