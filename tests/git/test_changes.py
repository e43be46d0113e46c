"""Sealing: what agents leave behind, tidy or not, becomes commits on the attempt's branch, or a clear word why not."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrate.core import events as ev
from orchestrate.git.changes import parse_diff
from orchestrate.git.status import parse_status

from .conftest import World


@pytest.fixture
async def path(world: World) -> Path:
    await world.prepare("x")
    return world.path("x")


def admin(world: World, path: Path) -> Path:
    return Path(world.repo.git("rev-parse", "--absolute-git-dir", cwd=path))


async def test_what_was_left_is_committed_with_name_and_trailer(world: World, path: Path) -> None:
    world.repo.write({"new.py": "a\nb\n", "calc.py": "def add(a, b):\n    return b + a\n"}, path)
    sealed = await world.seal("x")
    assert (sealed.changed, sealed.insertions, sealed.deletions, sealed.commits) == (2, 3, 1, 1)
    assert sealed.committed and not sealed.error
    assert sealed.head == world.repo.tip(f"refs/heads/{world.branch('x')}")
    assert sealed.tree == world.repo.git("rev-parse", f"{sealed.head}^{{tree}}")
    message = world.repo.git("log", "-1", "--format=%B", sealed.head)
    assert message == f"The x\n\nOrchestrate-Attempt: {world.key('x')}\n"
    assert world.repo.git("log", "-1", "--format=%an %cn", sealed.head) == "Ada Ada"


async def test_commits_of_the_agent_stay_as_they_are(world: World, path: Path) -> None:
    world.repo.commit("one", {"a.py": "1\n"}, cwd=path)
    head = world.repo.commit("two", {"b.py": "2\n"}, cwd=path)
    sealed = await world.seal("x")
    assert (sealed.head, sealed.commits, sealed.changed, sealed.committed) == (head, 2, 2, False)


async def test_nothing_done_is_no_change(world: World, path: Path) -> None:
    sealed = await world.seal("x")
    assert (sealed.head, sealed.changed, sealed.commits, sealed.committed) == (world.repo.head(), 0, 0, False)


async def test_an_empty_commit_changes_nothing(world: World, path: Path) -> None:
    world.repo.git("commit", "--allow-empty", "-m", "done!", cwd=path)
    sealed = await world.seal("x")
    assert (sealed.commits, sealed.changed, sealed.error) == (1, 0, "")


@pytest.mark.parametrize(
    ("files", "beyond"),
    [
        ({"new.py": "1\n"}, False),
        ({"new.py": "1\n", ".gitignore": "build/\n"}, False),
        ({"new.py": "1\n", ".gitignore": "build/\n", "build/made.py": "1\n"}, True),
    ],
)
async def test_files_that_no_commit_holds_are_told(
    world: World, path: Path, files: dict[str, str], beyond: bool
) -> None:
    world.repo.write(files, path)
    assert (await world.seal("x")).beyond is beyond


async def test_a_repository_inside_holds_files_that_no_commit_holds(world: World, path: Path) -> None:
    world.repo.git("init", "-q", "inner", cwd=path)
    world.repo.write({"new.py": "1\n", "inner/made.py": "1\n"}, path)
    assert (await world.seal("x")).beyond


async def test_ignored_files_are_not_committed(world: World, path: Path) -> None:
    world.repo.write({".gitignore": "*.log\n", "noise.log": "x", "sub/real.py": "x\n"}, path)
    assert world.repo.files((await world.seal("x")).head).keys() == {
        ".gitignore", "README.md", "calc.py", "sub/real.py",
    }  # fmt: skip


async def test_sealing_twice_is_sealing_once(world: World, path: Path) -> None:
    world.repo.write({"new.py": "a\n"}, path)
    first, second = await world.seal("x"), await world.seal("x")
    assert (first.head, first.changed) == (second.head, second.changed) and not second.committed


async def test_paths_outside_the_scope_are_named(world: World, path: Path) -> None:
    world.features["x"] = replace(world.features["x"], touches=("src/**",))
    world.repo.write({"src/a.py": "1\n", "docs/b.md": "2\n"}, path)
    assert (await world.seal("x")).out_of_scope == ("docs/b.md",)


async def test_hooks_and_signing_of_the_user_do_not_run(world: World, tmp_path: Path) -> None:
    hooks, ran = tmp_path / "hooks", tmp_path / "ran"
    hooks.mkdir()
    for name in ("pre-commit", "post-commit", "prepare-commit-msg", "post-checkout", "reference-transaction"):
        (hooks / name).write_text(f"#!/bin/sh\necho {name} >> {ran}\nexit 1\n")
        (hooks / name).chmod(0o755)
    config = tmp_path / "gitconfig"
    config.write_text(f"[core]\n\thooksPath = {hooks}\n[commit]\n\tgpgSign = true\n[user]\n\tsigningKey = none\n")
    git = world.repository.git.with_variables(GIT_CONFIG_GLOBAL=str(config))
    world.repository = replace(world.repository, git=git)
    world.restarted()
    head = await world.finished("x", {"new.py": "a\n"})
    await world.integrated("x", head, world.repo.head())
    assert not ran.exists()


# ── misdeeds ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_detached_head_is_brought_onto_the_branch(world: World, path: Path) -> None:
    world.repo.git("checkout", "--quiet", "--detach", cwd=path)
    head = world.repo.commit("detached", {"a.py": "1\n"}, cwd=path)
    world.repo.write({"b.py": "2\n"}, path)
    events = await world.seal_events("x")
    sealed = events[-1]
    assert world.repo.contains(sealed.head, head) and sealed.changed == 2
    assert world.repo.tip(f"refs/heads/{world.branch('x')}") == sealed.head
    assert world.repo.git("symbolic-ref", "--short", "HEAD", cwd=path) == world.branch("x")
    assert any(isinstance(event, ev.Warned) and "commits are now on" in event.message for event in events)


async def test_another_branch_is_not_moved_by_our_commit(world: World, path: Path) -> None:
    world.repo.git("checkout", "--quiet", "-b", "mine", cwd=path)
    before = world.repo.tip("refs/heads/mine")
    world.repo.write({"a.py": "1\n"}, path)
    sealed = await world.seal("x")
    assert world.repo.tip("refs/heads/mine") == before != sealed.head
    assert world.repo.tip(f"refs/heads/{world.branch('x')}") == sealed.head
    world.repo.git("symbolic-ref", "HEAD", f"refs/heads/{world.branch('x')}", cwd=path)
    world.repo.git("update-ref", "-d", "refs/heads/mine")


async def test_looking_at_an_old_commit_loses_nothing(world: World, path: Path) -> None:
    head = world.repo.commit("done", {"a.py": "1\n"}, cwd=path)
    world.repo.git("checkout", "--quiet", "--detach", "HEAD~1", cwd=path)
    assert (await world.seal("x")).head == head


async def test_two_lines_of_work_are_both_kept(world: World, path: Path) -> None:
    on_branch = world.repo.commit("first", {"a.py": "1\n"}, cwd=path)
    world.repo.git("checkout", "--quiet", "--detach", "HEAD~1", cwd=path)
    world.repo.commit("second", {"b.py": "1\n"}, cwd=path)
    sealed = await world.seal("x")
    assert world.repo.files(sealed.head).keys() == {"README.md", "calc.py", "b.py"}
    assert world.private("x") == on_branch


async def test_a_deleted_branch_comes_back_where_it_was(world: World, path: Path) -> None:
    head = world.repo.commit("work", {"a.py": "1\n"}, cwd=path)
    world.repo.git("update-ref", "-d", f"refs/heads/{world.branch('x')}", cwd=path)
    world.repo.write({"b.py": "2\n"}, path)
    sealed = await world.seal("x")
    assert sealed.error == "" and world.repo.contains(sealed.head, head) and sealed.changed == 2


async def test_an_orphan_branch_without_commits_is_uncommitted_work(world: World, path: Path) -> None:
    world.repo.git("checkout", "--quiet", "--orphan", "fresh", cwd=path)
    world.repo.write({"a.py": "1\n"}, path)
    sealed = await world.seal("x")
    assert (sealed.error, sealed.changed, sealed.commits) == ("", 1, 1)


async def test_commits_on_an_orphan_branch_are_refused_and_kept(world: World, path: Path) -> None:
    world.repo.git("checkout", "--quiet", "--orphan", "fresh", cwd=path)
    head = world.repo.commit("all new", {"a.py": "1\n"}, cwd=path)
    assert "does not descend" in (await world.seal("x")).error
    await world.keep("x")
    assert world.repo.contains(world.private("x"), head)
    world.repo.git("update-ref", "-d", "refs/heads/fresh")


async def test_an_amended_base_is_merged_back(world: World, path: Path) -> None:
    base = world.repo.commit("own base", {"base.py": "1\n2\n3\n"}, cwd=path)
    world.bases[world.key("x")] = base
    world.repo.write({"extra.py": "x\n"}, path)
    world.repo.git("add", "-A", cwd=path)
    world.repo.git("commit", "--quiet", "--amend", "-m", "mine now", cwd=path)
    sealed = await world.seal("x")
    assert sealed.error == "" and world.repo.contains(sealed.head, base)
    assert {"base.py", "extra.py"} <= world.repo.files(sealed.head).keys() and sealed.changed == 1
    assert world.repo.git("status", "--porcelain", cwd=path) == ""


async def test_a_rewritten_base_that_conflicts_is_refused(world: World, path: Path) -> None:
    base = world.repo.commit("own base", {"base.py": "1\n"}, cwd=path)
    world.bases[world.key("x")] = base
    world.repo.git("reset", "--quiet", "--hard", "HEAD~1", cwd=path)
    world.repo.commit("instead", {"base.py": "something else\n"}, cwd=path)
    assert "base.py" in (await world.seal("x")).error


async def test_a_left_index_lock_does_not_stop_us(world: World, path: Path) -> None:
    (admin(world, path) / "index.lock").touch()
    world.repo.write({"a.py": "1\n"}, path)
    assert (await world.seal("x")).committed


async def test_a_repository_inside_is_left_out_and_said(world: World, path: Path) -> None:
    for inner in ("vendor/one", "two"):
        (path / inner).mkdir(parents=True)
        world.repo.git("init", "--quiet", str(path / inner))
    world.repo.git("commit", "--allow-empty", "-m", "inner", cwd=path / "two")
    world.repo.write({"a.py": "1\n"}, path)
    *warnings, sealed = await world.seal_events("x")
    assert sealed.changed == 1 and world.repo.files(sealed.head).keys() == {"README.md", "calc.py", "a.py"}
    assert sorted(event.message.split(" ")[0] for event in warnings) == ["two/", "vendor/one/"]


async def test_a_link_to_another_repository_is_said(world: World, path: Path) -> None:
    world.repo.git("init", "--quiet", str(path / "sub"))
    world.repo.git("commit", "--allow-empty", "-m", "inner", cwd=path / "sub")
    world.repo.git("add", "sub", cwd=path)
    world.repo.git("commit", "-m", "add", cwd=path)
    *warnings, sealed = await world.seal_events("x")
    assert not sealed.error and any("link to another repository" in event.message for event in warnings)


@pytest.mark.parametrize("replacement", ["nothing", "file", "directory", "repository"])
async def test_a_missing_git_file_never_leads_us_into_the_users_checkout(
    world: World, path: Path, replacement: str
) -> None:
    (path / ".git").unlink()
    if replacement == "file":
        (path / ".git").write_text("gitdir: /nowhere\n")
    elif replacement == "directory":
        (path / ".git").mkdir()
    elif replacement == "repository":
        world.repo.git("init", "--quiet", cwd=path)
    world.repo.write({"a.py": "1\n"}, path)
    *warnings, sealed = await world.seal_events("x")
    assert sealed.error == "" and sealed.changed == 1
    assert ".git file" in warnings[0].message
    assert world.repo.git("rev-parse", "HEAD", cwd=path) == sealed.head


async def test_conflicts_left_open_are_not_committed(world: World, path: Path) -> None:
    side = world.repo.side_commit(world.repo.head(), {"calc.py": "# other\n"})
    world.repo.commit("mine", {"calc.py": "# mine\n"}, cwd=path)
    world.repo.git("merge", "--quiet", side, cwd=path, ok=False)
    sealed = await world.seal("x")
    assert "unfinished merge" in sealed.error and "calc.py" in sealed.error
    await world.keep("x")
    assert "<<<<<<<" in world.repo.files(world.private("x"))["calc.py"]


async def test_a_merge_that_only_lacks_its_commit_is_concluded(world: World, path: Path) -> None:
    side = world.repo.side_commit(world.repo.head(), {"side.py": "1\n"})
    world.repo.commit("mine", {"mine.py": "1\n"}, cwd=path)
    world.repo.git("merge", "--quiet", "--no-commit", side, cwd=path)
    sealed = await world.seal("x")
    assert sealed.committed and world.repo.contains(sealed.head, side)


async def test_an_unfinished_rebase_is_refused(world: World, path: Path) -> None:
    side = world.repo.side_commit(world.repo.head(), {"calc.py": "# other\n"})
    world.repo.commit("mine", {"calc.py": "# mine\n"}, cwd=path)
    world.repo.git("rebase", "--quiet", side, cwd=path, ok=False)
    world.repo.git("checkout", "--quiet", "--theirs", "calc.py", cwd=path)
    world.repo.git("add", "calc.py", cwd=path)
    assert "unfinished rebase" in (await world.seal("x")).error


@pytest.mark.parametrize("damage", ["entry", "entry and tie", "HEAD"])
async def test_an_agent_that_removed_gits_entry_has_not_removed_its_work(world: World, path: Path, damage: str) -> None:
    world.repo.commit("First", {"first.py": "1\n"}, cwd=path)
    world.repo.write({"second.py": "2\n"}, path)
    entry = admin(world, path)
    if damage == "HEAD":
        (entry / "HEAD").unlink()
    else:
        shutil.rmtree(entry)
    if damage == "entry and tie":
        (path / ".git").unlink()
    said, sealed = await world.seal_events("x")
    assert isinstance(said, ev.Warned) and "no file was touched" in said.message
    assert isinstance(sealed, ev.WorkSealed) and not sealed.error
    assert (sealed.commits, sealed.changed) == (2, 2)
    assert world.repo.files(sealed.head).keys() >= {"first.py", "second.py"}


async def test_what_lies_in_a_worktree_without_an_entry_is_kept(world: World, path: Path) -> None:
    world.repo.write({"half.py": "1\n"}, path)
    shutil.rmtree(admin(world, path))
    [said] = await world.keep("x")
    assert isinstance(said, ev.Warned) and "no file was touched" in said.message
    assert "half.py" in world.repo.files(world.private("x"))


async def test_a_worktree_that_is_gone_is_said(world: World, path: Path) -> None:
    shutil.rmtree(path)
    assert "no worktree" in (await world.seal("x")).error


async def test_strange_file_names_survive(world: World, path: Path) -> None:
    names = ["-rf", "new\nline.txt", "sp ace", "\u202e.py", ":(top)x", '"quoted"']
    for name in names:
        (path / name).write_text("x\n")
    sealed = await world.seal("x")
    assert sealed.changed == len(names)
    listed = world.repo.git("ls-tree", "--name-only", "-z", sealed.head).split("\0")
    assert set(names) <= set(listed)


# ── parsing ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_renames_do_not_confuse_the_status() -> None:
    status = parse_status(
        b"# branch.oid abc\0# branch.head a b\0"
        b"2 R. N... 100644 100644 100644 1 2 R100 new\0? old/\0? dir/\0u UU N... 1 2 3 4 a b c con flict\0"
    )
    assert (status.commit, status.branch, status.dirty) == ("abc", "a b", True)
    assert (status.nested, status.unmerged) == (("dir/",), ("con flict",))


def test_binary_files_count_as_changed_without_lines() -> None:
    diff = parse_diff(b":100644 100644 a b M\0pic.png\0-\t-\tpic.png\0")
    assert (diff.paths, diff.insertions, diff.deletions) == (("pic.png",), 0, 0)


@pytest.mark.parametrize("mark", ["--assume-unchanged", "--skip-worktree"])
async def test_a_change_that_was_hidden_from_git_is_committed_all_the_same(world: World, mark: str) -> None:
    """Otherwise checks would pass on a file that the branch does not hold."""
    await world.prepare("x")
    world.repo.git("update-index", mark, "README.md", cwd=world.path("x"))
    world.repo.write({"README.md": "hidden\n"}, world.path("x"))
    sealed = await world.seal("x")
    assert (sealed.error, sealed.changed) == ("", 1)
    assert world.repo.files(sealed.head)["README.md"] == "hidden"


async def test_a_change_that_was_hidden_from_git_is_kept(world: World) -> None:
    await world.prepare("x")
    world.repo.git("update-index", "--assume-unchanged", "README.md", cwd=world.path("x"))
    world.repo.write({"README.md": "hidden\n"}, world.path("x"))
    await world.keep("x")
    assert world.repo.files(world.private("x"))["README.md"] == "hidden"
