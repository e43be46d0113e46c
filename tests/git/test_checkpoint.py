"""Keeping an attempt's last state: complete, without a trace in the worktree, and never at the price of an older one."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

from tests.support.repos import Repo

from .conftest import World, build_world


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
    admin = Path(world.repo.git("rev-parse", "--absolute-git-dir", cwd=world.path("x")))
    (admin / "index").write_bytes(b"garbage")
    [warning] = await world.keep("x")
    assert "could not be saved" in warning.message and world.path("x").is_dir()
