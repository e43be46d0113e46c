"""Making worktrees: bases, copies, crashes half-way, refusals, and many at once."""

from __future__ import annotations

import asyncio
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrate.core import events as ev
from orchestrate.core.names import AttemptKey
from orchestrate.git.worktrees import Worktrees
from tests.support.repos import Repo, assert_untouched

from .conftest import RUN, World, build_world


async def test_a_worktree_stands_on_its_own_branch_at_the_base(world: World) -> None:
    prepared = await world.prepare("login")
    path = Path(prepared.path)
    assert prepared.base == world.repo.head() == world.repo.head(path)
    assert world.repo.git("symbolic-ref", "--short", "HEAD", cwd=path) == prepared.branch == world.branch("login")
    assert (path / "calc.py").read_text() == "def add(a, b):\n    return a + b\n"
    assert world.repo.git("status", "--porcelain", "--ignored", cwd=path) == ""
    assert world.setup_runs == [(world.key("login"), path)]


async def test_each_attempt_gets_a_block_of_ports_and_gives_it_back(world: World) -> None:
    first, second = await world.prepare("a"), await world.prepare("b")
    assert abs(first.port - second.port) >= world.settings.ports_count
    await world.keep("a")
    assert world.performer.port_of(world.key("a")) == 0
    assert (await world.prepare("c")).port == first.port


async def test_a_base_of_two_parents_holds_both_and_is_the_same_every_time(world: World) -> None:
    root = world.repo.head()
    left, right = (world.repo.side_commit(root, {f"{name}.py": "x = 1\n"}) for name in ("left", "right"))
    one, other = await world.prepare("a", left, right), await world.prepare("b", left, right)
    assert one.base == other.base
    assert {"left.py", "right.py", "calc.py"} <= world.repo.files(one.base).keys()
    assert (Path(one.path) / "left.py").exists() and (Path(one.path) / "right.py").exists()
    assert world.repo.git("rev-list", "--parents", "-1", one.base).split()[1:] == [left, right]
    assert (
        world.repo.git("log", "-1", "--format=%at %ct", one.base).split()
        == [world.repo.git("log", "-1", "--format=%ct", right)] * 2
    )


async def test_parents_inside_other_parents_are_dropped(world: World) -> None:
    root = world.repo.head()
    below = world.repo.side_commit(root, {"a.py": "1\n"})
    above = world.repo.side_commit(below, {"b.py": "2\n"})
    assert (await world.prepare("x", root, above, below, above)).base == above


async def test_a_diamond_joins_branches_that_share_their_history(world: World) -> None:
    root = world.repo.head()
    top = world.repo.side_commit(root, {"top.py": "1\n"})
    left, right = world.repo.side_commit(top, {"l.py": "1\n"}), world.repo.side_commit(top, {"r.py": "1\n"})
    bottom = await world.prepare("bottom", left, right, top)
    assert {"top.py", "l.py", "r.py"} <= world.repo.files(bottom.base).keys()


async def test_parents_that_conflict_are_said_and_leave_nothing(world: World) -> None:
    root = world.repo.head()
    parents = [world.repo.side_commit(root, {"calc.py": f"# {side}\n"}) for side in ("ours", "theirs")]
    failed = await world.try_prepare("x", *parents)
    assert isinstance(failed, ev.WorktreeFailed)
    assert failed.kind == "conflict" and "calc.py" in failed.why
    assert not world.repo.refs("refs/heads/orch") and not world.path("x").exists()


async def test_setup_that_fails_says_why(world: World) -> None:
    world.setup_answer = "npm ci: exit code 1"
    failed = await world.try_prepare("x")
    assert isinstance(failed, ev.WorktreeFailed) and (failed.kind, failed.why) == ("setup", "npm ci: exit code 1")
    assert world.performer.port_of(world.key("x")) == 0


async def test_a_base_that_does_not_exist_is_a_git_failure_without_a_branch(world: World) -> None:
    failed = await world.try_prepare("x", "ab" * 20)
    assert isinstance(failed, ev.WorktreeFailed) and failed.kind == "git"
    assert not world.repo.refs("refs/heads/orch") and not world.path("x").exists()


async def test_a_directory_that_cannot_be_made_leaves_no_branch(world: World) -> None:
    world.settings.worktrees_dir.mkdir()
    (world.settings.worktrees_dir / RUN).write_text("a file is in the way")
    failed = await world.try_prepare("x")
    assert isinstance(failed, ev.WorktreeFailed) and failed.kind == "git"
    assert not world.repo.refs("refs/heads/orch")


async def test_an_entry_that_cannot_be_made_takes_its_branch_back(world: World) -> None:
    """By then git has made the branch already, and does not take it back itself."""
    (world.repo.path / ".git/worktrees").write_text("a file is in the way")
    failed = await world.try_prepare("x")
    assert isinstance(failed, ev.WorktreeFailed) and failed.kind == "git"
    assert not world.repo.refs("refs/heads/orch")


async def test_too_little_space_is_refused_before_anything_is_made(world: World) -> None:
    world.settings = replace(world.settings, spare_bytes=1 << 62)
    world.performer = world.restarted()
    failed = await world.try_prepare("x")
    assert isinstance(failed, ev.WorktreeFailed) and "are needed" in failed.why
    assert not world.repo.refs("refs/heads/orch") and not world.path("x").exists()


# ── copies ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def furnished(repo: Repo, tmp_path: Path) -> World:
    repo.commit("ignore", {".gitignore": ".env*\nnode_modules/\n", "tracked.env": "old\n"})
    repo.write({".env": "KEY=1\n", ".env.local": "KEY=2\n", "node_modules/left/pad.js": "pad\n", "notes.txt": "mine\n"})
    repo.write({"tracked.env": "edited\n"})
    (repo.path / "node_modules" / "link").symlink_to("left")
    (repo.path / "node_modules" / "back").symlink_to(repo.path / "calc.py")
    return build_world(
        repo, tmp_path / "worktrees", copy=[".env*", "node_modules", "notes.txt", "tracked.env", "none/*"]
    )


async def test_ignored_files_are_copied_and_nothing_that_could_be_committed(furnished: World) -> None:
    with assert_untouched(furnished.repo):
        path = Path((await furnished.prepare("x")).path)
    assert (path / ".env").read_text() == "KEY=1\n" and (path / ".env.local").exists()
    assert (path / "node_modules/left/pad.js").read_text() == "pad\n"
    assert os.readlink(path / "node_modules/link") == "left"
    assert not os.path.lexists(path / "node_modules/back")
    assert not (path / "notes.txt").exists()
    assert (path / "tracked.env").read_text() == "old\n"
    assert furnished.repo.git("status", "--porcelain", cwd=path) == ""


async def test_a_file_that_only_the_checkout_ignores_is_not_copied(furnished: World) -> None:
    base = furnished.repo.side_commit(furnished.repo.head(), {".gitignore": "node_modules/\n"})
    prepared = await furnished.prepare("x", base)
    assert not (Path(prepared.path) / ".env").exists()
    assert (Path(prepared.path) / "node_modules/left/pad.js").exists()


# ── crashes ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _half_made(world: World, path: Path) -> None:
    """Killed inside `worktree add`: branch and entry are there, the files are not."""
    world.repo.git("worktree", "add", "--no-checkout", "-b", world.branch("x"), str(path))


def _unfinished_checkout(world: World, path: Path) -> None:
    _half_made(world, path)
    (path / "calc.py").write_text("def")
    admin = Path(world.repo.git("rev-parse", "--absolute-git-dir", cwd=path))
    (admin / "index.lock").touch()


def _only_a_branch(world: World, _: Path) -> None:
    world.repo.git("branch", world.branch("x"))


def _only_a_packed_branch(world: World, _: Path) -> None:
    world.repo.git("branch", world.branch("x"))
    world.repo.git("pack-refs", "--all", "--no-prune")
    (world.repo.path / ".git/refs/heads" / world.branch("x")).unlink()


def _complete(world: World, path: Path) -> None:
    world.repo.git("worktree", "add", "-b", world.branch("x"), str(path))


def _entry_without_directory(world: World, path: Path) -> None:
    _complete(world, path)
    shutil.rmtree(path)


def _empty_directory(_: World, path: Path) -> None:
    path.mkdir(parents=True)


@pytest.mark.parametrize(
    "crash",
    [_half_made, _unfinished_checkout, _only_a_branch, _complete, _entry_without_directory, _empty_directory],
)
async def test_asked_for_again_after_a_crash_it_ends_the_same(world: World, crash) -> None:
    crash(world, world.path("x"))
    prepared = await world.prepare("x")
    assert world.repo.git("status", "--porcelain", cwd=Path(prepared.path)) == ""
    assert world.repo.head(Path(prepared.path)) == prepared.base
    assert world.repo.refs("refs/heads/orch") == [f"refs/heads/{prepared.branch}"]
    again = await world.prepare("x")
    assert (again.base, again.path, again.branch) == (prepared.base, prepared.path, prepared.branch)


async def test_a_branch_that_was_packed_away_is_found_too(repo: Repo, tmp_path: Path) -> None:
    world = build_world(repo, tmp_path / "worktrees")
    _only_a_packed_branch(world, world.path("x"))
    assert (await world.prepare("x")).base == repo.head()


async def test_work_that_is_in_the_way_is_kept_before_it_goes(world: World) -> None:
    await world.prepare("x")
    path = world.path("x")
    committed = world.repo.commit("agent", {"done.py": "1\n"}, cwd=path)
    world.repo.write({"loose.py": "2\n"}, path)
    await world.prepare("x", world.repo.head())
    assert not (path / "done.py").exists() and not (path / "loose.py").exists()
    kept = world.private("x")
    assert world.repo.files(kept)["loose.py"] == "2" and world.repo.contains(kept, committed)


async def test_files_of_unknown_origin_are_moved_aside(world: World) -> None:
    world.repo.write({"diary.txt": "dear\n"}, world.path("x"))
    await world.prepare("x")
    assert (world.path("x").with_name("x.1.found-1") / "diary.txt").read_text() == "dear\n"


async def test_the_worktree_of_another_run_with_the_same_name_is_left_alone(world: World) -> None:
    await world.prepare("x")
    other = AttemptKey("20261121-111415-ffff", "x", 1)
    await Worktrees(world.repository, world.settings).add(other, world.repo.head())
    assert world.path("x").is_dir() and len(world.repo.git("worktree", "list").splitlines()) == 3


# ── the integration worktree ─────────────────────────────────────────────────────────────────────────────────────


async def test_the_integration_worktree_is_set_up_once_and_follows_commits(world: World) -> None:
    first = world.repo.side_commit(world.repo.head(), {"one.py": "1\n", ".gitignore": "cache/\n"})
    second = world.repo.side_commit(first, {"two.py": "2\n"})
    path = await world.performer.integration_worktree(RUN, first)
    world.repo.write({"cache/x": "kept", "left-by-checks.txt": "gone", "one.py": "changed by checks"}, path)
    assert await world.performer.integration_worktree(RUN, second) == path
    assert sorted(p.name for p in path.iterdir() if p.name != ".git") == [
        ".gitignore", "README.md", "cache", "calc.py", "one.py", "two.py",
    ]  # fmt: skip
    assert (path / "one.py").read_text() == "1\n" and (path / "cache/x").exists()
    assert world.repo.git("symbolic-ref", "-q", "HEAD", cwd=path, ok=False) == ""
    assert [key.feature for key, _ in world.setup_runs] == ["integration"]


async def test_setup_of_the_integration_worktree_is_repeated_until_it_succeeds(world: World) -> None:
    world.setup_answer = "no network"
    with pytest.raises(Exception, match="no network"):
        await world.performer.integration_worktree(RUN, world.repo.head())
    world.setup_answer = ""
    await world.restarted().integration_worktree(RUN, world.repo.head())
    await world.restarted().integration_worktree(RUN, world.repo.head())
    assert len(world.setup_runs) == 2


# ── many at once ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_many_at_once_never_fail(tmp_path: Path) -> None:
    """16 at a time, 25 rounds, by two performers that share nothing but the repository."""
    repo = Repo.make(tmp_path / "project")
    worlds = [build_world(repo, tmp_path / "worktrees"), build_world(repo, tmp_path / "worktrees")]
    with assert_untouched(repo):
        for number in range(25):
            answers = await asyncio.gather(
                *(worlds[n % 2].try_prepare(f"r{number}-{n}", repo.head()) for n in range(16))
            )
            assert [a.why for a in answers if isinstance(a, ev.WorktreeFailed)] == []
    assert len(repo.refs("refs/heads/orch")) == len(list((tmp_path / "worktrees" / RUN).iterdir())) == 400


async def test_failures_among_many_leave_no_branch(world: World) -> None:
    missing = "cd" * 20
    await asyncio.gather(*(world.try_prepare(f"f{n}", missing if n % 2 else world.repo.head()) for n in range(16)))
    assert len(world.repo.refs("refs/heads/orch")) == 8


async def test_a_cancelled_preparation_answers_and_leaves_a_whole_worktree(world: World) -> None:
    task = asyncio.ensure_future(world.try_prepare("x"))
    await asyncio.sleep(0)
    task.cancel()
    answer = await task
    assert isinstance(answer, ev.WorktreePrepared | ev.WorktreeFailed)
    assert (world.path("x") / "calc.py").exists() == (world.branch("x") in world.repo.git("branch", "--list", "orch/*"))
