"""Whole runs through the installed command, with the scripted agent: how they go, and what they leave.

What must hold after every one of them (the user's checkout as it was, no process left) is asserted by the fixture.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.e2e import diamond
from tests.e2e.diamond import Play
from tests.e2e.project import RUN, Ended, Json, Project

# ── runs that go well ────────────────────────────────────────────────────────────────────────────────────────────


def test_a_diamond_becomes_one_branch_whose_checks_pass(project: Project) -> None:
    meet: Play = [{"run": "touch ../@FEATURE@.here"}]
    left: Play = [*meet, {"wait_for": "../right.here"}, diamond.write("left"), {"commit": "By my own hand"}]
    right: Play = [*meet, {"wait_for": "../left.here"}, diamond.write("right")]
    project.arrange(diamond.features(), script=diamond.script(left=[left], right=[right]))

    ended = project.orchestrate(*RUN)

    assert ended.code == 0, str(ended)
    assert ended.outcomes == dict.fromkeys(diamond.FILES, "integrated")
    assert ended.lines[-1]["kind"] == "result"
    branch = ended.integration_branch
    with project.checked_out(branch) as directory:
        for code in diamond.CHECKS.values():
            project.python(code, directory)
    merges = project.git("log", "--first-parent", "--format=%s", f"main..{branch}").splitlines()
    assert len(merges) == 4
    assert "base" in merges[-1]
    assert "top" in merges[0]


def test_what_an_agent_did_not_commit_is_committed_for_it_and_what_it_did_is_kept(project: Project) -> None:
    by_itself = [
        diamond.write("left"),
        {"commit": "By my own hand"},
        {"write": {"path": "notes.txt", "text": "more\n"}},
    ]
    project.arrange(diamond.features(), script=diamond.script(left=[by_itself]))

    ended = project.orchestrate(*RUN, "--select", "+left")

    assert ended.code == 0, str(ended)
    run = ended.of("RunStarted")[0]["run"]
    log = project.git(
        "log",
        "--format=%s|%(trailers:key=Orchestrate-Attempt,valueonly,separator=%x2C)",
        "main..orch/" + f"{run}/feature/left/1",
    )
    ours, theirs, base = log.splitlines()
    assert theirs.startswith("By my own hand")
    assert ours == f"The left of it|{run}/left/1"
    assert base == f"The base of it|{run}/base/1"
    assert project.git("show", f"orch/{run}/feature/left/1:notes.txt") == "more"


def test_failed_checks_go_back_to_the_same_session_until_they_pass(project: Project) -> None:
    wrong = [{"write": {"path": "base.py", "text": "VALUE = 70\n"}}]
    mend: Play = [
        {"expect": "base is right"},
        {"expect": "AssertionError"},
        {"edit": {"path": "base.py", "find": "70", "replace": "1"}},
    ]
    project.arrange(diamond.features(), script=diamond.script(base=[wrong, mend]))

    ended = project.orchestrate(*RUN)

    assert ended.code == 0, str(ended)
    first, second = ended.of("InvocationStarted", feature="base")
    assert (first["phase"], first["resume"]) == ("edit", False)
    assert (second["phase"], second["resume"]) == ("rework", True)
    assert first["session"] == second["session"]
    assert [e["ok"] for e in ended.of("ChecksFinished", feature="base")] == [False, True]


def test_a_try_that_breaks_down_is_followed_by_one_from_a_fresh_worktree(project: Project) -> None:
    breaks = [{"write": {"path": "half.py", "text": "unfinished\n"}}, {"exit": 7}]
    base = {"1": [breaks], "2": [[diamond.write("base")]]}
    project.arrange(diamond.features()[:1], script={"base": base})

    ended = project.orchestrate(*RUN)

    assert ended.code == 0, str(ended)
    assert [(e["attempt"], e["outcome"]) for e in ended.of("AttemptEnded")] == [(1, "failed"), (2, "integrated")]
    with project.checked_out(ended.integration_branch) as directory:
        assert not (directory / "half.py").exists()
    run = ended.of("RunStarted")[0]["run"]
    assert project.git("show", f"refs/orchestrate/{run}/base/1:half.py") == "unfinished"


def test_a_usage_limit_is_waited_for_and_counts_as_no_try(project: Project) -> None:
    limited = [{"fail": {"class": "limit", "resets_in": 2}}]
    project.arrange(diamond.features()[:1], script={"base": [limited, [diamond.write("base")]]})

    ended = project.orchestrate(*RUN)

    assert ended.code == 0, str(ended)
    refused = ended.of("InvocationFinished")[0]
    second = ended.of("InvocationStarted")[1]
    assert refused["end"] == "limit"
    assert second["at"] >= refused["resets_at"]
    assert second["resume"]
    assert len(ended.of("AttemptStarted")) == 1


def test_a_plan_that_was_written_is_run_as_it_was_or_refused_once_it_has_moved(project: Project) -> None:
    project.arrange(diamond.features(), script=diamond.script())
    plan = str(project.home / "plan.json")
    assert project.orchestrate("plan", "--select", "+left", "--out", plan).code == 0

    ended = project.orchestrate("run", plan, "--yes", "--json")

    assert ended.code == 0, str(ended)
    assert ended.outcomes == {"base": "integrated", "left": "integrated"}
    project.rewrite_features(diamond.features(left={"prompt": "Write something else."}))
    refused = project.orchestrate("run", plan, "--yes")
    assert refused.code == 2, str(refused)
    assert "left" in refused.stderr


def test_every_order_gives_the_same_code(project: Project) -> None:
    project.arrange(diamond.features(), script=diamond.script())

    trees = set()
    for order in (["--start-on", "integrated", "--schedule", "waves"], ["--sequential"]):
        ended = project.orchestrate(*RUN, *order)
        assert ended.code == 0, str(ended)
        trees.add(project.git("rev-parse", f"{ended.integration_branch}^{{tree}}"))

    assert len(trees) == 1


def test_a_worktree_has_what_the_user_wants_in_it_and_no_more(project: Project) -> None:
    project.env["DATABASE_PASSWORD"] = "hunter2-hunter2"
    needs = 'test -f ignored.log && test -f made.log && test -n "$ORCHESTRATE_PORT" && test -z "$DATABASE_PASSWORD"'
    play = [{"run": f"{needs} && echo yes > agent.txt"}]
    project.arrange(
        [{"id": "one", "prompt": "p", "verify": [needs, "test -f agent.txt"]}],
        script={"one": [play]},
        setup=["echo made > made.log"],
        copy=["ignored.log"],
    )

    ended = project.orchestrate(*RUN)

    assert ended.code == 0, str(ended)
    changed = project.git("diff", "--name-only", "main", ended.integration_branch)
    assert changed == "agent.txt"


# ── runs that go wrong ───────────────────────────────────────────────────────────────────────────────────────────


def test_a_conflict_keeps_the_branch_and_skips_what_depends_on_it(project: Project) -> None:
    same: list[Json] = [
        {"id": "first", "prompt": "p", "verify": [{"run": "touch ../first.checked", "when": "integration"}]},
        {"id": "second", "prompt": "p"},
        {"id": "third", "prompt": "p", "depends_on": ["second"]},
    ]
    script = {
        "first": [[{"write": {"path": "same.txt", "text": "one way\n"}}]],
        "second": [[{"wait_for": "../first.checked"}, {"write": {"path": "same.txt", "text": "another way\n"}}]],
        "third": [[{"wait": 30}]],
    }
    project.arrange(same, script=script)

    ended = project.orchestrate(*RUN)

    assert ended.code == 1, str(ended)
    assert ended.outcomes == {"first": "integrated", "second": "conflicted", "third": "skipped"}
    assert project.git("show", f"{ended.integration_branch}:same.txt") == "one way"
    run = ended.of("RunStarted")[0]["run"]
    assert project.git("show", f"orch/{run}/feature/second/1:same.txt") == "another way"
    assert "same.txt" in ended.of("AttemptEnded", feature="second")[0]["why"]


def test_what_passes_alone_but_not_together_is_not_integrated(project: Project) -> None:
    alone = {"name": "at most one part", "run": "test $(ls part.* | wc -l) -le 1"}
    features = [{"id": name, "prompt": "p", "verify": [alone]} for name in ("one", "two")]
    script = {name: [[{"write": {"path": f"part.{name}", "text": name}}]] for name in ("one", "two")}
    project.arrange(features, script=script)

    ended = project.orchestrate(*RUN)

    assert ended.code == 1, str(ended)
    assert sorted(ended.outcomes.values()) == ["failed", "integrated"]
    assert "at most one part" in ended.of("AttemptEnded", outcome="failed")[0]["why"]
    parts = project.git("ls-tree", "--name-only", ended.integration_branch).splitlines()
    assert len([part for part in parts if part.startswith("part.")]) == 1


def test_a_reader_who_leaves_does_not_end_the_run(project: Project) -> None:
    project.arrange(diamond.features(), script=diamond.script())

    read_end, write_end = os.pipe()
    os.close(read_end)
    ended = project.orchestrate(*RUN, stdout=write_end)
    os.close(write_end)

    assert ended.code == 141, str(ended)
    assert ended.stderr == ""
    assert project.report()["run"]["status"] == "done"


def test_the_user_may_go_on_working_and_is_told(project: Project) -> None:
    gate = project.gate("gate")
    project.arrange(diamond.features()[:1], script={"base": [[*gate.stop, diamond.write("base")]]})

    with project.running(*RUN) as run:
        gate.reached()
        project.git("commit", "-qm", "By the user, meanwhile")
        project.before = project.sacred()
        gate.open()
        ended = run.ended()

    assert ended.code == 0, str(ended)
    assert "refs/heads/main changed" in " ".join(e["message"] for e in ended.of("Warned"))
    assert project.git("log", "-1", "--format=%s") == "By the user, meanwhile"


def test_an_agent_that_changes_nothing_is_not_believed(project: Project) -> None:
    project.arrange(diamond.features(), script=diamond.script(base=[[{"say": "All done!"}]]), max_reworks=0)

    ended = project.orchestrate(*RUN)

    assert ended.code == 1, str(ended)
    assert ended.outcomes == {"base": "no_changes", "left": "skipped", "right": "skipped", "top": "skipped"}


def test_a_timeout_ends_daemons_too(project: Project) -> None:
    pid_file = project.home / "daemon.pid"
    play: Play = [{"daemon": {"pid_file": str(pid_file), "hold_output": True}}, {"run": "touch half.txt"}, "hang"]
    project.arrange([{"id": "slow", "prompt": "p", "timeout_seconds": 1, "max_attempts": 1}], script={"slow": [play]})

    ended = project.orchestrate(*RUN)

    assert ended.code == 1, str(ended)
    assert ended.of("InvocationFinished")[0]["end"] == "timed_out"
    assert not project.lives(pid_file)
    run = ended.of("RunStarted")[0]["run"]
    assert "half.txt" in project.git("ls-tree", "--name-only", f"refs/orchestrate/{run}/slow/1")


def test_a_cost_limit_stops_the_run_until_it_is_raised(project: Project) -> None:
    costs = {"usage": {"cost": 0.6}}
    script = diamond.script(
        base=[[costs, diamond.write("base"), {"result": "done"}]], left=[[costs, diamond.write("left")]]
    )
    project.arrange(diamond.features()[:2], script=script, max_parallel=1, limits={"max_cost_usd": 1.0})

    ended = project.orchestrate(*RUN)

    assert ended.code == 3, str(ended)
    assert ended.of("RunEnded")[0]["status"] == "limit"
    assert ended.outcomes["base"] == "integrated"
    raised = project.orchestrate("run", "--resume", "--yes", "--json", "--max-cost", "10")
    assert raised.code == 0, str(raised)
    assert [e["feature"] for e in raised.of("AttemptEnded")] == ["left"]


# ── afterwards ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def half_done(project: Project) -> Ended:
    """A run in which `base` and `right` were integrated and `left` failed its checks."""
    wrong = [{"write": {"path": "left.py", "text": "LEFT = 0\n"}}]
    project.arrange(diamond.features(), script=diamond.script(left=[wrong]), max_attempts=1, max_reworks=0)
    ended = project.orchestrate(*RUN)
    assert ended.outcomes == {"base": "integrated", "left": "failed", "right": "integrated", "top": "skipped"}
    return ended


def test_cleanup_takes_what_is_merged_and_leaves_the_rest(project: Project, half_done: Ended) -> None:
    run = half_done.of("RunStarted")[0]["run"]

    assert project.orchestrate("cleanup").code == 2
    cleaned = project.orchestrate("cleanup", "--merged", "--yes")

    assert cleaned.code == 0, str(cleaned)
    assert set(project.branches()) == {f"orch/{run}/integration", f"orch/{run}/feature/left/1"}
    assert [Path(path).name for path in project.worktrees()] == ["left.1"]
    assert project.git("show", f"orch/{run}/integration:right.py") == diamond.FILES["right"].strip()


def test_the_commands_after_a_run_tell_what_happened(project: Project, half_done: Ended) -> None:
    run = half_done.of("RunStarted")[0]["run"]
    features = {f["id"]: f for f in project.report()["features"]}

    assert {name: f["status"] for name, f in features.items()} == half_done.outcomes
    assert [r["ok"] for r in features["left"]["attempts"][0]["rounds"]] == [False]
    assert "LEFT = 0" in project.orchestrate("diff", "left").stdout
    assert "left.py" in project.orchestrate("logs", "left").stdout
    assert run in project.orchestrate("history").stdout
    assert "left is right" in project.orchestrate("status").stdout
