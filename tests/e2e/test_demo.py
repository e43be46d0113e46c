"""The first command that anybody runs."""

from __future__ import annotations

from tests.e2e import diamond
from tests.e2e.project import Project


def test_the_demo_ends_with_a_green_branch_after_one_rework(project: Project) -> None:
    project.arrange(diamond.features())  # somebody's own repository, in which the demo changes nothing
    directory = project.home / "tally"

    ended = project.orchestrate("demo", "--keep", str(directory))

    assert ended.code == 0, str(ended)
    told = project.orchestrate("-C", str(directory), "report", "--json").document
    assert told["run"]["status"] == "done"
    assert len(told["plan"]["waves"]) >= 3
    assert len(told["features"]) >= 5
    assert {f["status"] for f in told["features"]} == {"integrated"}
    assert [f["reworks"] for f in told["features"] if f["reworks"]] == [1]
    assert told["run"]["integration_branch"] in ended.stdout + ended.stderr
    assert f"rm -rf {directory} {directory}.worktrees" in ended.stderr
    assert (directory.parent / f"{directory.name}.worktrees").is_dir()
