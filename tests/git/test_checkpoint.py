"""Keeping an attempt's last state: complete, without a trace in the worktree, and never at the price of an older one."""

from __future__ import annotations

import hashlib
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrate.git.checkpoint import LARGEST_BYTES, keep, read_saved
from tests.support.repos import Repo

from .conftest import RUN, World, build_world

ADD = "def add(a, b):\n    return a + b"


def admin_of(world: World, path: Path) -> Path:
    return Path(world.repo.git("rev-parse", "--absolute-git-dir", cwd=path))


def index_and_head(world: World, path: Path) -> tuple[str, str]:
    admin = Path(world.repo.git("rev-parse", "--absolute-git-dir", cwd=path))
    return hashlib.sha256((admin / "index").read_bytes()).hexdigest(), (admin / "HEAD").read_text()


async def test_a_clean_worktree_is_kept_by_its_commit(world: World) -> None:
    head = await world.finished("x", {"x.py": "1\n"})
    assert await world.keep("x") == [] and world.private("x") == head


async def test_uncommitted_work_is_kept_without_touching_it(world: World) -> None:
    await world.prepare("x")
    path = world.path("x")
    world.repo.write({".gitignore": "*.log\n", "a.log": "noise", "staged.py": "1\n", "loose.py": "2\n"}, path)
    world.repo.git("add", "staged.py", cwd=path)
    (path / "calc.py").unlink()
    before, status = index_and_head(world, path), world.repo.git("status", "--porcelain", cwd=path)
    await world.keep("x")
    assert world.repo.files(world.private("x")) == {
        ".gitignore": "*.log", "README.md": "# Calculator", "loose.py": "2", "staged.py": "1",
    }  # fmt: skip
    assert (index_and_head(world, path), world.repo.git("status", "--porcelain", cwd=path)) == (before, status)


async def test_keeping_twice_is_keeping_once(world: World) -> None:
    await world.prepare("x")
    world.repo.write({"a.py": "1\n"}, world.path("x"))
    await world.keep("x")
    first = world.private("x")
    await world.keep("x")
    assert world.private("x") == first


async def test_an_older_state_stays_reachable(world: World) -> None:
    await world.prepare("x")
    world.repo.write({"a.py": "1\n"}, world.path("x"))
    await world.keep("x")
    first = world.private("x")
    (world.path("x") / "a.py").unlink()
    await world.keep("x")
    assert world.private("x") != first and world.repo.contains(world.private("x"), first)
    assert "a.py" not in world.repo.files(world.private("x"))


async def test_head_elsewhere_and_the_branch_are_both_kept(world: World) -> None:
    await world.prepare("x")
    path = world.path("x")
    on_branch = world.repo.commit("one", {"one.py": "1\n"}, cwd=path)
    world.repo.git("checkout", "--quiet", "--detach", "HEAD~1", cwd=path)
    detached = world.repo.commit("two", {"two.py": "1\n"}, cwd=path)
    await world.keep("x")
    kept = world.private("x")
    assert world.repo.contains(kept, on_branch) and world.repo.contains(kept, detached)


async def test_a_branch_without_a_worktree_is_kept(world: World) -> None:
    head = await world.finished("x", {"x.py": "1\n"})
    shutil.rmtree(world.path("x"))
    await world.keep("x")
    assert world.private("x") == head


async def test_what_never_existed_is_no_fault(world: World) -> None:
    assert await world.keep("x") == [] and world.private("x") == ""


async def test_without_its_git_file_it_is_still_this_worktree_that_is_kept(repo: Repo, tmp_path: Path) -> None:
    """Below the user's checkout, git would otherwise walk up and take that for it."""
    repo.commit("ignore", {".gitignore": "/trees/\n"})
    world = build_world(repo, repo.path / "trees")
    await world.prepare("x")
    (world.path("x") / ".git").unlink()
    world.repo.write({"a.py": "1\n"}, world.path("x"))
    assert await world.keep("x") == []
    assert repo.files(world.private("x")).keys() == {".gitignore", "README.md", "calc.py", "a.py"}


async def test_a_state_that_cannot_be_saved_is_said(world: World) -> None:
    await world.prepare("x")
    world.repo.git("update-ref", f"refs/orchestrate/{RUN}/x", "HEAD")  # leaves no room for refs below it
    [warning] = await world.keep("x")
    assert "could not be saved" in warning.message and world.path("x").is_dir()


@pytest.mark.parametrize("index", [b"garbage", None])
async def test_without_a_sound_index_the_files_are_kept_all_the_same(world: World, index: bytes | None) -> None:
    await world.prepare("x")
    path = world.path("x")
    world.repo.write({"a.py": "1\n"}, path)
    found = admin_of(world, path) / "index"
    found.unlink() if index is None else found.write_bytes(index)
    assert await world.keep("x") == []
    assert world.repo.files(world.private("x")) == {"README.md": "# Calculator", "calc.py": ADD, "a.py": "1"}
    assert found.exists() is (index is not None)


async def test_hidden_changes_are_kept_and_stay_hidden(world: World) -> None:
    await world.prepare("x")
    path = world.path("x")
    world.repo.git("update-index", "--assume-unchanged", "calc.py", cwd=path)
    world.repo.git("update-index", "--skip-worktree", "README.md", cwd=path)
    world.repo.write({"calc.py": "hidden\n", "README.md": "too\n"}, path)
    before = index_and_head(world, path)
    await world.keep("x")
    assert world.repo.files(world.private("x")) == {"README.md": "too", "calc.py": "hidden"}
    assert index_and_head(world, path) == before


async def test_a_change_in_the_same_tick_of_the_clock_is_kept(world: World) -> None:
    """The copy of the index must be as old as the index, or git takes the file for one that it has seen."""
    await world.prepare("x")
    path = world.path("x")
    world.repo.git("config", "core.checkStat", "minimal", cwd=path)
    world.repo.git("config", "core.trustctime", "false", cwd=path)
    second = 1_700_000_000
    world.repo.write({"calc.py": "1\n"}, path)
    os.utime(path / "calc.py", (second, second))
    world.repo.git("add", "calc.py", cwd=path)
    os.utime(admin_of(world, path) / "index", (second, second))
    world.repo.write({"calc.py": "2\n"}, path)
    os.utime(path / "calc.py", (second, second))
    await world.keep("x")
    world.repo.git("config", "--unset", "core.checkStat", cwd=path)
    world.repo.git("config", "--unset", "core.trustctime", cwd=path)
    assert world.repo.files(world.private("x"))["calc.py"] == "2"


@pytest.mark.parametrize(
    "setting", ["core.splitIndex", "core.untrackedCache", "core.fsmonitor", "index.skipHash", "feature.manyFiles"]
)
async def test_what_the_repository_is_set_to_does_not_matter(repo: Repo, tmp_path: Path, setting: str) -> None:
    repo.git("config", setting, "true")
    world = build_world(repo, tmp_path / "worktrees")
    await world.prepare("x")
    path = world.path("x")
    repo.git("update-index", "--split-index", cwd=path) if setting == "core.splitIndex" else None
    repo.write({"a.py": "1\n", "calc.py": "2\n"}, path)
    repo.git("add", "a.py", cwd=path)
    repo.write({"b.py": "1\n"}, path)
    shared = sorted(found.name for found in admin_of(world, path).glob("sharedindex.*"))
    before = index_and_head(world, path)
    assert await world.keep("x") == []
    assert repo.files(world.private("x")).keys() == {"README.md", "calc.py", "a.py", "b.py"}
    assert index_and_head(world, path) == before
    assert sorted(found.name for found in admin_of(world, path).glob("sharedindex.*")) == shared


async def test_a_sparse_worktree_is_kept_whole(repo: Repo, tmp_path: Path) -> None:
    repo.commit("more", {"deep/one.py": "1\n", "wide/two.py": "2\n"})
    repo.git("sparse-checkout", "set", "deep")
    world = build_world(repo, tmp_path / "worktrees")
    await world.prepare("x")
    repo.write({"deep/new.py": "3\n"}, world.path("x"))
    await world.keep("x")
    kept = repo.files(world.private("x"))
    assert {"deep/one.py", "wide/two.py", "deep/new.py"} <= kept.keys()


async def test_in_the_middle_of_a_rebase_with_a_lock_held(world: World) -> None:
    await world.prepare("x")
    path = world.path("x")
    base = world.repo.head(path)
    world.repo.commit("ours", {"calc.py": "ours\n"}, cwd=path)
    other = world.repo.side_commit(base, {"calc.py": "theirs\n"})
    world.repo.git("rebase", "--quiet", other, cwd=path, ok=False)
    admin = admin_of(world, path)
    (admin / "index.lock").write_bytes(b"")
    world.repo.write({"loose.py": "1\n"}, path)
    before = index_and_head(world, path)
    assert await world.keep("x") == []
    assert (admin / "index.lock").exists() and (admin / "rebase-merge").is_dir()
    kept = world.repo.files(world.private("x"))
    assert kept["loose.py"] == "1" and "<<<<<<<" in kept["calc.py"]
    assert index_and_head(world, path) == before


async def test_a_file_that_cannot_be_read_and_a_repository_inside_do_not_keep_the_rest_from_being_saved(
    world: World,
) -> None:
    await world.prepare("x")
    path = world.path("x")
    Repo.make(path / "inner")
    (path / "pipe").mkdir()
    os.mkfifo(path / "pipe" / "fifo")
    (path / "loop").symlink_to("loop")
    world.repo.write({"a.py": "1\n", "secret": "2\n"}, path)
    (path / "secret").chmod(0)
    assert await world.keep("x") == []
    kept = world.repo.git("ls-tree", "-r", "--name-only", world.private("x")).split()
    assert "a.py" in kept and "loop" in kept and "inner" not in kept


async def test_what_is_too_large_is_left_out_and_named_while_the_worktree_stays(world: World) -> None:
    await world.prepare("x")
    path = world.path("x")
    with (path / "core dump").open("wb") as file:
        file.truncate(LARGEST_BYTES + 1)
    world.repo.write({"a.py": "1\n"}, path)
    [warning] = await world.keep("x")
    assert "core dump" in warning.message
    assert world.repo.files(world.private("x")).keys() == {"README.md", "calc.py", "a.py"}


async def test_what_a_prune_took_is_written_again(world: World) -> None:
    """The new objects vanish before the ref points at them."""
    await world.prepare("x")
    path = world.path("x")
    world.repo.write({"a.py": "not seen before\n"}, path)
    taken: list[str] = []

    class Pruned(type(world.repository.git)):  # type: ignore[misc]
        async def run(self, *args: str, **options: object) -> object:
            if args[0] == "update-ref" and not taken:
                taken.append(world.repo.git("hash-object", "a.py", cwd=path))
                (world.repo.path / ".git" / "objects" / taken[0][:2] / taken[0][2:]).unlink()
            return await super().run(*args, **options)

    git = world.repository.git
    await keep(replace(world.repository, git=Pruned(git.cwd, git.env)), world.key("x"), path, branch_prefix="orch")
    assert taken and world.repo.files(world.private("x"))["a.py"] == "not seen before"


async def test_what_has_not_changed_is_not_saved_again(world: World) -> None:
    await world.prepare("x")
    path = world.path("x")
    world.repo.write({"a.py": "1\n"}, path)
    first = await world.performer.save(world.key("x"))
    assert first.commit == world.private("x") and not first.skipped
    again = await world.performer.save(world.key("x"), first.seen)
    assert again.skipped and again.seen == first.seen
    os.utime(path / "a.py", (1, 1))  # perhaps another content
    touched = await world.performer.save(world.key("x"), first.seen)
    assert not touched.skipped and touched.commit == first.commit
    world.repo.write({"a.py": "2\n"}, path)
    changed = await world.performer.save(world.key("x"), touched.seen)
    assert not changed.skipped and world.repo.files(changed.commit)["a.py"] == "2"
    world.repo.commit("two", cwd=path)
    assert not (await world.performer.save(world.key("x"), changed.seen)).skipped


async def test_a_checkpoint_says_where_head_was(world: World) -> None:
    await world.prepare("x")
    path, git, key = world.path("x"), world.repository.git, world.key("x")
    one = world.repo.commit("one", {"a.py": "1\n"}, cwd=path)
    world.repo.write({"b.py": "1\n"}, path)
    await world.keep("x")
    saved = await read_saved(git, key, world.private("x"))
    assert saved.is_checkpoint and saved.head == one
    world.repo.git("reset", "--quiet", "--soft", "HEAD~1", cwd=path)  # the same files, less of them committed
    await world.keep("x")
    saved = await read_saved(git, key, world.private("x"))
    assert saved.head == world.repo.git("rev-parse", f"{one}~1") and world.repo.contains(saved.commit, one)


async def test_the_first_release_did_not_say_where_head_was(world: World) -> None:
    await world.prepare("x")
    key, head = world.key("x"), world.repo.head(world.path("x"))
    tree = world.repo.git("rev-parse", "HEAD^{tree}")
    first = world.repo.git("commit-tree", tree, "-p", head, "-m", f"Checkpoint of {key}")
    second = world.repo.git("commit-tree", tree, "-p", first, "-m", f"Checkpoint of {key}")
    saved = await read_saved(world.repository.git, key, second)
    assert (saved.head, saved.is_checkpoint) == (head, True)
    assert not (await read_saved(world.repository.git, key, head)).is_checkpoint
