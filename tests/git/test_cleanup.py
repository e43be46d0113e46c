"""Cleaning up: what goes is kept elsewhere, what stays has a reason, and the user's own things are not even looked at."""

from __future__ import annotations

import subprocess
import sys

import pytest

from orchestrate.core.names import checkpoint_ref
from orchestrate.git.cleanup import Item, Mode, remove, survey
from tests.support.repos import assert_untouched

from .conftest import INTEGRATION, RUN, World


async def verdicts(world: World, mode: Mode = "merged", *, run: str = "") -> dict[str, Item]:
    items = await survey(world.repository, merged_into=["refs/heads/main"], mode=mode, run=run)
    return {
        f"{item.key.feature}{'' if not item.is_integration else ' branch' if item.branch else ' worktree'}": item
        for item in items
    }


async def clean(world: World, mode: Mode) -> list[str]:
    """Survey, remove; what could not be removed."""
    items = await survey(world.repository, merged_into=["refs/heads/main"], mode=mode)
    return [removal.why for removal in await remove(world.repository, items) if removal.why]


async def merged_feature(world: World, fid: str) -> str:
    head = await world.finished(fid, {f"{fid}.py": "1\n"})
    onto = world.repo.tip(f"refs/heads/{INTEGRATION}") or world.repo.head()
    await world.integrated(fid, head, onto)
    return head


async def test_merged_work_goes_and_unmerged_stays(world: World) -> None:
    await merged_feature(world, "done")
    await world.finished("open", {"open.py": "1\n"})
    await world.keep("open")
    found = await verdicts(world)
    assert found["done"].remove and INTEGRATION in found["done"].reason
    assert not found["open"].remove and "not merged; kept under a private ref" in found["open"].reason
    assert not found["integration branch"].remove and "not in the base branch" in found["integration branch"].reason
    assert await clean(world, "merged") == []
    assert not world.path("done").exists() and world.path("open").is_dir()
    assert world.repo.refs("refs/heads/orch") == [f"refs/heads/{world.branch('open')}", f"refs/heads/{INTEGRATION}"]


async def test_the_survey_says_sizes_and_changes_nothing(world: World) -> None:
    await merged_feature(world, "done")
    before = world.repo.refs()
    [item] = [i for i in (await verdicts(world)).values() if i.path]
    assert item.size_bytes > 30 and item.head == item.tip and not item.dirty
    assert world.repo.refs() == before and world.path("done").is_dir()


async def test_uncommitted_changes_are_saved_before_a_worktree_goes(world: World) -> None:
    await merged_feature(world, "x")
    world.repo.write({"later.py": "1\n"}, world.path("x"))
    found = (await verdicts(world))["x"]
    assert found.remove and "its uncommitted changes are saved first" in found.reason
    await world.keep("x")
    assert "its uncommitted changes are saved" in (await verdicts(world))["x"].reason
    world.repo.write({"later.py": "2\n"}, world.path("x"))
    await clean(world, "merged")
    assert not world.path("x").exists() and world.repo.files(world.private("x"))["later.py"] == "2"


async def test_what_an_unfinished_run_goes_on_with_stays(world: World) -> None:
    await merged_feature(world, "x")
    key = world.key("x")
    items = await survey(world.repository, merged_into=["refs/heads/main"], under_way={key})
    [item] = [i for i in items if i.key == key]
    assert not item.remove and "orchestrate resume" in item.reason


async def test_an_integration_branch_that_is_not_landed_stays_whatever_private_ref_holds_it(world: World) -> None:
    await merged_feature(world, "x")
    world.repo.git("update-ref", f"refs/orchestrate/{RUN}/integration/1", f"refs/heads/{INTEGRATION}")
    assert not (await verdicts(world))["integration branch"].remove


async def test_what_changes_between_survey_and_removal_is_saved(world: World) -> None:
    await merged_feature(world, "x")
    items = await survey(world.repository, merged_into=["refs/heads/main"])
    world.repo.write({"late.py": "1\n"}, world.path("x"))
    await remove(world.repository, items)
    assert world.repo.files(world.private("x"))["late.py"] == "1"


async def test_a_branch_that_moved_after_the_survey_stays(world: World) -> None:
    await merged_feature(world, "x")
    items = await survey(world.repository, merged_into=["refs/heads/main"])
    later = world.repo.side_commit(world.repo.tip(f"refs/heads/{world.branch('x')}"), {"later.py": "1\n"})
    world.repo.git("update-ref", f"refs/heads/{world.branch('x')}", later)
    [removal] = await remove(world.repository, items)
    assert removal.why and world.repo.tip(f"refs/heads/{world.branch('x')}") == later


async def test_all_removes_everything_that_it_can_bring_back(world: World) -> None:
    head = await world.finished("open", {"open.py": "1\n"})
    await world.prepare("busy")
    world.repo.write({"half.py": "1\n"}, world.path("busy"))
    await world.performer.integration_worktree(RUN, world.repo.head())
    assert await clean(world, "all") == []
    assert not list(world.settings.worktrees_dir.iterdir()) and not world.repo.refs("refs/heads/orch")
    assert world.private("open") == head
    assert world.repo.files(world.private("busy"))["half.py"] == "1"
    assert len(world.repo.git("worktree", "list").splitlines()) == 1


async def test_all_leaves_the_integration_branch_until_it_is_in_the_base(world: World) -> None:
    await merged_feature(world, "x")
    assert await clean(world, "all") == []
    assert world.repo.refs("refs/heads/orch") == [f"refs/heads/{INTEGRATION}"]


async def test_a_landed_run_goes_entirely(world: World) -> None:
    await merged_feature(world, "x")
    await world.performer.integration_worktree(RUN, world.repo.tip(f"refs/heads/{INTEGRATION}"))
    landed = world.repo.tip(f"refs/heads/{INTEGRATION}")
    items = await survey(world.repository, merged_into=["refs/heads/main"])
    assert not next(item for item in items if item.is_integration and item.branch).remove
    world.repo.git("update-ref", "refs/heads/orch-landed", landed)
    items = await survey(world.repository, merged_into=["refs/heads/orch-landed"])
    assert all(item.remove for item in items)
    assert [r.why for r in await remove(world.repository, items)] == ["", "", ""]
    assert world.repo.refs("refs/heads/orch") == [] and not list(world.settings.worktrees_dir.iterdir())
    world.repo.git("update-ref", "-d", "refs/heads/orch-landed")


async def test_the_users_own_worktrees_and_branches_are_no_candidates(world: World) -> None:
    await merged_feature(world, "x")
    mine = world.settings.worktrees_dir / RUN / "mine"
    world.repo.git("worktree", "add", "--quiet", "--detach", str(mine))
    world.repo.git("update-ref", "refs/heads/orch/notes", "HEAD")
    with assert_untouched(world.repo):
        await clean(world, "all")
    assert (mine / "calc.py").exists() and world.repo.tip("refs/heads/orch/notes")


async def test_a_feature_branch_that_the_user_looks_at_stays(world: World) -> None:
    head = await merged_feature(world, "x")
    world.repo.git("checkout", "--quiet", "--detach", head, cwd=world.path("x"))
    mine = world.repo.path.parent / "mine"
    world.repo.git("worktree", "add", "--quiet", str(mine), world.branch("x"))
    item = (await verdicts(world, "all"))["x"]
    assert not item.remove and str(mine) in item.reason


async def test_locked_and_occupied_worktrees_stay(world: World) -> None:
    await merged_feature(world, "locked")
    await merged_feature(world, "busy")
    world.repo.git("worktree", "lock", str(world.path("locked")))
    inside = subprocess.Popen([sys.executable, "-c", "input()"], cwd=world.path("busy"), stdin=subprocess.PIPE)
    try:
        found = await verdicts(world, "all")
    finally:
        inside.communicate()
    assert not found["locked"].remove and "locked" in found["locked"].reason
    assert not found["busy"].remove and str(inside.pid) in found["busy"].reason


async def test_a_repository_inside_stays_unless_it_is_ignored(world: World) -> None:
    for fid, ignored in (("kept", "nothing\n"), ("gone", "vendor/\n")):
        await world.prepare(fid)
        world.repo.write({".gitignore": ignored, "vendor/a/b.py": "1\n"}, world.path(fid))
        world.repo.git("init", "--quiet", cwd=world.path(fid) / "vendor/a")
        await world.seal(fid)
    found = await verdicts(world, "all")
    assert not found["kept"].remove and "vendor/a" in found["kept"].reason
    assert found["gone"].remove


async def test_read_only_directories_do_not_stop_it(world: World) -> None:
    await merged_feature(world, "x")
    cache = world.path("x") / "cache"
    world.repo.write({"cache/deep/file": "1\n"}, world.path("x"))
    (cache / "deep").chmod(0o500)
    cache.chmod(0o500)
    assert await clean(world, "all") == []
    assert not world.path("x").exists()


@pytest.mark.parametrize("damage", ["no directory", "no .git", "no worktree"])
async def test_damaged_leftovers_are_cleared_too(world: World, damage: str) -> None:
    head = await world.finished("x", {"x.py": "1\n"})
    path = world.path("x")
    if damage == "no directory":
        subprocess.run(["rm", "-r", str(path)], check=True)
    elif damage == "no .git":
        (path / ".git").unlink()
    else:
        world.repo.git("worktree", "remove", "--force", str(path))
    assert await clean(world, "all") == []
    assert not path.exists() and not world.repo.refs("refs/heads/orch")
    assert world.repo.tip(checkpoint_ref(world.key("x"))) == head
    assert len(world.repo.git("worktree", "list").splitlines()) == 1


async def test_only_one_run_when_asked(world: World) -> None:
    await merged_feature(world, "x")
    assert await verdicts(world, run="20200101-000000-0000") == {}
    assert set(await verdicts(world, run=RUN)) == {"x", "integration branch"}
