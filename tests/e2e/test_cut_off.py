"""Runs that are stopped, killed and gone on with, and what refuses to begin."""

from __future__ import annotations

import signal

import pytest

from tests.e2e import diamond
from tests.e2e.project import FEATURE_LIST, RUN, Project


def test_the_first_ctrl_c_lets_running_agents_finish_and_resume_goes_on(project: Project) -> None:
    gate = project.gate("gate")
    project.arrange(diamond.features(), script=diamond.script(base=[[*gate.stop, diamond.write("base")]]))

    with project.running(*RUN) as run:
        gate.reached()
        run.press_ctrl_c()
        run.wait_for("StopRequested", how="drain")
        gate.open()
        ended = run.ended()

    assert ended.code == 130, str(ended)
    assert ended.outcomes == {"base": "integrated"}
    assert project.report()["run"]["status"] == "interrupted"
    rest = project.orchestrate("run", "--resume", "--yes", "--json")
    assert rest.code == 0, str(rest)
    assert {e["feature"] for e in rest.of("InvocationStarted")} == {"left", "right", "top"}


def test_the_second_ctrl_c_ends_the_agents_and_nothing_is_paid_for_twice(project: Project) -> None:
    gate = project.gate("gate")
    works = [diamond.write("left"), *gate.stop]
    project.arrange(diamond.features(), script=diamond.script(left=[works, []]), max_parallel=1)

    with project.running(*RUN) as run:
        gate.reached()
        run.press_ctrl_c()
        run.wait_for("StopRequested", how="drain")
        run.press_ctrl_c()
        run.wait_for("StopRequested", how="cancel")
        ended = run.ended()

    assert ended.code == 130, str(ended)
    assert ended.of("InvocationFinished", feature="left")[0]["end"] == "interrupted"
    key = f"{ended.of('RunStarted')[0]['run']}/left/1"
    assert project.git("show", f"refs/orchestrate/{key}:left.py") == diamond.FILES["left"].strip()
    rest = project.orchestrate("run", "--resume", "--yes", "--json")
    assert rest.code == 0, str(rest)
    again = rest.of("InvocationStarted", feature="left")
    assert [(e["attempt"], e["resume"]) for e in again] == [(1, True)]
    assert rest.of("InvocationStarted", feature="base") == []


def test_kill_9_loses_nothing_and_run_yes_goes_on(project: Project) -> None:
    pid_file = project.home / "daemon.pid"
    gate = project.gate("gate")
    works = [{"daemon": {"pid_file": str(pid_file)}}, diamond.write("left"), *gate.stop]
    project.arrange(diamond.features(), script=diamond.script(left=[works, []]), max_parallel=1)

    with project.running(*RUN) as run:
        gate.reached()
        run.child.kill()
        killed = run.ended()

    assert killed.code == -9
    rest = project.orchestrate(*RUN)
    assert rest.code == 0, str(rest)
    assert rest.of("InvocationStarted", feature="base") == []
    assert [(e["attempt"], e["resume"]) for e in rest.of("InvocationStarted", feature="left")] == [(1, True)]
    assert not project.lives(pid_file)
    assert project.orchestrate("status", "--json").document["status"] == "done"


@pytest.mark.slow
def test_killed_at_every_stage_a_run_still_comes_to_its_end_once(project: Project) -> None:
    project.arrange(diamond.features(), script=diamond.script())

    stages = (
        "AttemptStarted WorktreePrepared InvocationStarted InvocationFinished WorkSealed ChecksFinished MergeStarted"
    )
    for kind in f"{stages} MergeFinished PublishStarted Published AttemptEnded".split():
        with project.running(*RUN) as run:
            run.wait_for(kind)
            run.child.kill()
    ended = project.orchestrate(*RUN)

    assert ended.code == 0, str(ended)
    told = project.report()
    branch = told["run"]["integration_branch"]
    assert len(project.git("log", "--merges", "--first-parent", "--format=%H", f"main..{branch}").splitlines()) == 4
    with project.checked_out(branch) as directory:
        for code in diamond.CHECKS.values():
            project.python(code, directory)
    for feature in told["features"]:
        ends = [i["end"] for attempt in feature["attempts"] for i in attempt["invocations"]]
        assert ends.count("done") == 1, (feature["id"], ends)
        assert {a["outcome"] for a in feature["attempts"]} <= {"integrated", "interrupted"}


def test_a_run_goes_on_from_its_commit_when_its_base_branch_is_gone_and_is_tidied_beside_a_broken_list(
    project: Project,
) -> None:
    gate = project.gate("gate")
    project.arrange(diamond.features(), script=diamond.script(left=[[diamond.write("left"), *gate.stop], []]))
    with project.running(*RUN) as run:
        gate.reached()
        run.child.kill()
        run.ended()
    base = project.git("rev-parse", "HEAD")
    project.git("checkout", "--quiet", "--detach")
    project.git("branch", "--move", "main", "mine")
    project.before = project.sacred()
    rest = project.orchestrate("resume", "--json")
    assert rest.code == 0, str(rest)
    assert project.git("merge-base", base, project.report()["run"]["integration_branch"]) == base
    project.write(FEATURE_LIST, "{")
    project.before = project.sacred()
    for command in (("recover", "--all"), ("cleanup", "--merged", "--yes")):
        done = project.orchestrate(*command)
        assert done.code == 0 and "the settings are left out: " in done.stderr, str(done)


def test_sigterm_ends_the_agents_and_says_so(project: Project) -> None:
    gate = project.gate("gate")
    project.arrange(diamond.features()[:1], script={"base": [[diamond.write("base"), *gate.stop]]})

    with project.running(*RUN) as run:
        gate.reached()
        run.signal(signal.SIGTERM)
        ended = run.ended()

    assert ended.code == 143, str(ended)
    assert ended.lines[-1]["status"] == "interrupted"


def test_an_unfinished_run_that_has_moved_is_not_gone_on_with_unasked(project: Project) -> None:
    gate = project.gate("gate")
    project.arrange(diamond.features()[:1], script={"base": [[*gate.stop], [diamond.write("base")]]})
    with project.running(*RUN) as run:
        gate.reached()
        run.signal(signal.SIGTERM)
        run.ended()
    project.rewrite_features(diamond.features(base={"prompt": "Something else."})[:1])

    refused = project.orchestrate("run", "--yes")

    assert refused.code == 2, str(refused)
    assert "orchestrate resume" in refused.stderr
    assert "--new" in refused.stderr
    gate.open()
    other = project.orchestrate("run", "--new", "--yes", "--json")
    assert other.of("RunStarted")


# ── refusals ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_second_engine_is_refused_while_the_first_one_runs(project: Project) -> None:
    gate = project.gate("gate")
    project.arrange(diamond.features()[:1], script={"base": [[diamond.write("base"), *gate.stop]]})

    with project.running(*RUN) as run:
        gate.reached()
        second = project.orchestrate(*RUN)
        assert second.code == 2, str(second)
        assert str(run.child.pid) in second.document["error"]["message"]
        gate.open()
        assert run.ended().code == 0


def test_without_a_terminal_and_without_yes_it_names_the_flag_and_does_nothing(project: Project) -> None:
    project.arrange(diamond.features(), script=diamond.script())

    refused = project.orchestrate("run")

    assert refused.code == 2, str(refused)
    assert "--yes" in refused.stderr
    assert refused.stdout == ""
    assert project.branches() == []
    assert project.worktrees() == []
    assert not (project.root / ".git" / "orchestrate").exists()
