"""Every rule of reconciliation in the very situation that it is for; each is applied twice, and finds nothing any more."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrate.core.names import checkpoint_ref
from orchestrate.core.plan import Command
from orchestrate.git import restore
from orchestrate.git.reconcile import RULES, render_table
from orchestrate.git.restore import is_whole
from orchestrate.git.scene import CannotGoOn, Finding, Record, Standing
from tests.support.repos import Repo

from .conftest import INTEGRATION, RUN, World, build_world

DOCS = Path(__file__).parents[2] / "docs"


def admin_of(world: World, fid: str) -> Path:
    return world.repository.common_dir / "worktrees" / f"{fid}.1"


def standing(world: World, fid: str, **fields: object) -> Standing:
    key = world.key(fid)
    return Standing(key, world.bases.get(key, world.repo.head()), **fields)  # type: ignore[arg-type]


async def settle(world: World, *attempts: Standing, head: str = "", lasting: bool = False) -> list[Finding]:
    """What was found; then there is nothing to be found, unless it is `lasting`."""
    base = world.repo.head()
    record = Record(RUN, base, head or base, attempts, tuple(a.key for a in attempts))
    found = await world.performer.reconcile(record)
    again = await world.restarted().reconcile(record)
    assert again == (found if lasting else ()), again
    return list(found)


def rules_of(found: list[Finding]) -> list[str]:
    return [finding.rule for finding in found]


async def begun(world: World, fid: str = "x") -> tuple[Path, str]:
    """An attempt with a commit, staged, changed, new and deleted files, all saved; its path and the commit."""
    await world.prepare(fid)
    path = world.path(fid)
    commit = world.repo.commit("one", {"one.py": "1\n", "gone.py": "1\n"}, cwd=path)
    world.repo.write({"staged.py": "2\n", "one.py": "changed\n", "dir/new.py": "3\n"}, path)
    (path / "gone.py").unlink()
    world.repo.git("add", "staged.py", cwd=path)
    await world.keep(fid)
    return path, commit


def all_of_it(world: World, path: Path) -> tuple[dict[str, str], str, str]:
    """Files, commit and branch of a worktree."""
    files = {
        str(p.relative_to(path)): p.read_text()
        for p in path.rglob("*")
        if p.is_file() and p.relative_to(path) != Path(".git")
    }
    return files, world.repo.head(path), world.repo.git("symbolic-ref", "--short", "HEAD", cwd=path)


EXPECTED = {
    "README.md": "# Calculator\n",
    "calc.py": "def add(a, b):\n    return a + b\n",
    "one.py": "changed\n",
    "staged.py": "2\n",
    "dir/new.py": "3\n",
}


def lose_objects(world: World, *commits: str) -> None:
    """As after `git gc --prune=now` with nothing that points at them."""
    for commit in commits:
        (world.repository.common_dir / "objects" / commit[:2] / commit[2:]).unlink()


# ── nothing amiss ────────────────────────────────────────────────────────────────────────────────────────────────


async def test_where_nothing_differs_nothing_is_found(world: World) -> None:
    path, _ = await begun(world)
    before = all_of_it(world, path)
    assert await settle(world, standing(world, "x")) == []
    assert all_of_it(world, path) == before


# ── R1: what is refused ──────────────────────────────────────────────────────────────────────────────────────────


async def integrated(world: World) -> tuple[str, str]:
    """The run's base and the integration branch's tip."""
    root = world.repo.head()
    return root, await world.integrated("done", await world.finished("done", {"done.py": "1\n"}), root)


async def refused(world: World, head: str) -> CannotGoOn:
    refs = world.repo.git("for-each-ref")
    with pytest.raises(CannotGoOn) as caught:
        await settle(world, head=head)
    assert world.repo.git("for-each-ref") == refs
    return caught.value


async def test_r1_a_base_that_is_gone(world: World) -> None:
    gone = "1" * 40
    with pytest.raises(CannotGoOn, match="started from commit 111111111111") as caught:
        await world.performer.reconcile(Record(RUN, gone, gone))
    assert "--new" in caught.value.hint


async def test_r1_an_integration_branch_with_other_commits(world: World) -> None:
    root, tip = await integrated(world)
    other = world.repo.side_commit(root, {"mine.py": "1\n"})
    world.repo.git("branch", "-f", INTEGRATION, other)
    said = await refused(world, tip)
    assert f"was set to {other[:12]}" in said.message
    assert f"git merge {tip[:12]}" in said.hint and f"git branch -f {INTEGRATION} {tip[:12]}" in said.hint


async def test_r1_an_integration_branch_set_back_and_checked_out(world: World, tmp_path: Path) -> None:
    root, tip = await integrated(world)
    world.repo.git("branch", "-f", INTEGRATION, root)
    world.repo.git("worktree", "add", "-q", str(tmp_path / "look"), INTEGRATION)
    said = await refused(world, tip)
    assert str(tmp_path / "look") in said.message and "git switch --detach" in said.hint
    world.repo.git("worktree", "remove", str(tmp_path / "look"))


async def test_r1_integrated_commits_that_are_gone(world: World) -> None:
    await integrated(world)
    assert "is not in the repository any more" in (await refused(world, "2" * 40)).message


async def test_r1_a_copy_of_a_repository_leaves_the_originals_worktrees_alone(world: World, tmp_path: Path) -> None:
    path, _ = await begun(world)
    before, x = all_of_it(world, path), standing(world, "x")
    shutil.copytree(world.repo.path, tmp_path / "copy", symlinks=True)
    copy = build_world(Repo(tmp_path / "copy", 9), world.settings.worktrees_dir)
    with pytest.raises(CannotGoOn, match="of which this one is a copy"):
        await copy.performer.reconcile(Record(RUN, x.base, x.base, (x,)))
    assert all_of_it(world, path) == before
    elsewhere = build_world(Repo(tmp_path / "copy", 9), tmp_path / "others")
    assert rules_of(await settle(elsewhere, x)) == ["R12"]
    assert all_of_it(elsewhere, elsewhere.path("x")) == before and all_of_it(world, path) == before


# ── R2 … R6: the run ─────────────────────────────────────────────────────────────────────────────────────────────


async def test_r2_an_integration_branch_that_was_deleted_or_set_back(world: World) -> None:
    root, tip = await integrated(world)
    world.repo.git("update-ref", "-d", f"refs/heads/{INTEGRATION}")
    assert rules_of(await settle(world, head=tip)) == ["R2"]
    assert world.repo.tip(INTEGRATION) == tip
    world.repo.git("branch", "-f", INTEGRATION, root)
    [found] = await settle(world, head=tip)
    assert found.rule == "R2" and root[:12] in found.words and world.repo.tip(INTEGRATION) == tip


async def test_r2_and_r21_an_integration_branch_ahead_is_left_alone(world: World) -> None:
    _, tip = await integrated(world)
    ahead = world.repo.side_commit(tip, {"mine.py": "1\n"})
    world.repo.git("update-ref", f"refs/heads/{INTEGRATION}", ahead)
    assert await settle(world, head=tip) == [] and world.repo.tip(INTEGRATION) == ahead
    head = await world.finished("y", {"y.py": "1\n"})
    assert (await world.merge("y", head, tip)).commit == ahead  # moved: it is merged on top of it


async def test_r3_locks_of_the_runs_own_refs(world: World) -> None:
    path, _ = await begun(world)
    common = world.repository.common_dir
    locks = [common / f"refs/heads/{world.branch('x')}.lock", common / f"{checkpoint_ref(world.key('x'))}.lock"]
    for lock in locks:
        lock.touch()
    assert rules_of(await settle(world, standing(world, "x"))) == ["R3", "R3"]
    assert not any(lock.exists() for lock in locks) and path.is_dir()


@pytest.mark.parametrize("name", ["packed-refs.lock", "config.lock", "shallow.lock"])
async def test_r4_locks_of_the_users_are_named_and_left(world: World, name: str) -> None:
    lock = world.repository.common_dir / name
    lock.touch()
    [found] = await settle(world, lasting=True)
    assert (found.rule, found.is_open) == ("R4", True) and f"rm {lock}" in found.words and lock.exists()
    lock.unlink()


async def test_r5_a_worktree_that_was_never_finished(world: World) -> None:
    await world.prepare("x")
    half = world.path("y")
    world.repo.git("worktree", "add", "-q", "--no-checkout", "-b", world.branch("y"), str(half))
    (admin_of(world, "y") / "locked").write_text("initializing")
    bare = admin_of(world, "z")
    bare.mkdir()
    (bare / "locked").write_text("initializing")
    mine = world.repo.path.parent / "mine"
    world.repo.git("worktree", "add", "-q", "--lock", "--reason", "initializing", "--detach", str(mine))
    x = standing(world, "x")
    record = Record(RUN, x.base, x.base, (x,), (x.key, world.key("y"), world.key("z")))
    assert [f.rule for f in await world.performer.reconcile(record)] == ["R5", "R5"]
    assert await world.performer.reconcile(record) == ()
    listed = world.repo.git("worktree", "list")
    assert str(half) not in listed and str(mine) in listed and str(world.path("x")) in listed
    assert not half.exists()
    world.repo.git("worktree", "remove", "-f", "-f", str(mine))


async def test_r6_a_broken_integration_worktree(world: World) -> None:
    root, tip = await integrated(world)
    path = await world.performer.integration_worktree(RUN, tip)
    (path / "notes.txt").write_text("somebody's\n")
    (world.repository.common_dir / "worktrees" / "integration" / "HEAD").unlink()
    assert rules_of(await settle(world, head=tip)) == ["R6"]
    assert await world.performer.integration_worktree(RUN, tip) == path
    assert (path / "done.py").exists()
    assert (path.with_name("integration.found-1") / "notes.txt").read_text() == "somebody's\n"
    assert root != tip


# ── R7 … R9: ties and leavings ───────────────────────────────────────────────────────────────────────────────────


async def test_r7_a_repository_that_was_moved_with_its_worktrees(tmp_path: Path) -> None:
    repo = Repo.make(tmp_path / "old" / "project")
    world = build_world(repo, tmp_path / "old" / "worktrees")
    path, _ = await begun(world)
    before, x = all_of_it(world, path), standing(world, "x")
    (tmp_path / "old").rename(tmp_path / "new")
    moved = build_world(Repo(tmp_path / "new" / "project", 9), tmp_path / "new" / "worktrees")
    moved.bases |= world.bases
    [found] = await settle(moved, x)
    assert found.rule == "R7" and str(tmp_path / "new") in found.words
    assert all_of_it(moved, moved.path("x")) == before


async def test_r7_a_repository_that_was_moved_alone(tmp_path: Path) -> None:
    repo = Repo.make(tmp_path / "old")
    world = build_world(repo, tmp_path / "worktrees")
    path, _ = await begun(world)
    before, x = all_of_it(world, path), standing(world, "x")
    (tmp_path / "old").rename(tmp_path / "new")
    moved = build_world(Repo(tmp_path / "new", 9), tmp_path / "worktrees")
    moved.bases |= world.bases
    [found] = await settle(moved, x)
    assert found.rule == "R7" and found.words == "the repository has moved, and its worktree knows again where it is"
    assert all_of_it(moved, path) == before


async def test_r7_a_git_file_that_is_gone(world: World) -> None:
    path, _ = await begun(world)
    before = all_of_it(world, path)
    (path / ".git").unlink()
    assert rules_of(await settle(world, standing(world, "x"))) == ["R7"]
    assert all_of_it(world, path) == before


async def test_r7_a_git_file_that_was_replaced(world: World) -> None:
    path, _ = await begun(world)
    before = all_of_it(world, path)
    (path / ".git").write_text("gitdir: /somewhere/else\n")
    [found] = await settle(world, standing(world, "x"))
    assert found.rule == "R7" and "had been replaced (what was there is kept in" in found.words
    assert all_of_it(world, path) == before


async def test_r8_a_worktree_that_was_moved_away(world: World, tmp_path: Path) -> None:
    path, _ = await begun(world)
    before = all_of_it(world, path)
    world.repo.git("worktree", "move", str(path), str(tmp_path / "elsewhere"))
    [found] = await settle(world, standing(world, "x"))
    assert found.rule == "R8" and str(tmp_path / "elsewhere") in found.words
    assert all_of_it(world, path) == before and not (tmp_path / "elsewhere").exists()


async def test_r9_what_a_killed_git_and_a_killed_engine_left(world: World) -> None:
    await begun(world)
    admin = admin_of(world, "x")
    left = [admin / name for name in ("index.lock", "HEAD.lock", "orchestrate-index-abc", "orchestrate-index-abc.lock")]
    for file in left:
        file.touch()
    [found] = await settle(world, standing(world, "x"))
    assert found.rule == "R9" and "index.lock, HEAD.lock" in found.words
    assert not any(file.exists() for file in left)


async def test_r9_a_save_that_was_cut_off_at_the_end_of_an_attempt_leaves_nothing(world: World) -> None:
    await begun(world, "over")
    left = admin_of(world, "over") / "orchestrate-index-abc"
    left.touch()
    assert await settle(world) == [] and not left.exists()


async def test_r9_a_lock_stays_while_somebody_works_there(world: World) -> None:
    path, _ = await begun(world)
    lock = admin_of(world, "x") / "index.lock"
    lock.touch()
    with subprocess.Popen(["cat"], cwd=path, stdin=subprocess.PIPE) as somebody:
        [found] = await settle(world, standing(world, "x"), lasting=True)
        assert (
            (found.rule, found.is_open) == ("R9", True) and f"process {somebody.pid}" in found.words and lock.exists()
        )
    assert rules_of(await settle(world, standing(world, "x"))) == ["R9"] and not lock.exists()


# ── R10 … R14: worktree, entry, index ────────────────────────────────────────────────────────────────────────────


async def test_r10_commits_that_are_gone_leave_the_files(world: World) -> None:
    path, commit = await begun(world)
    base = world.bases[world.key("x")]
    lose_objects(world, commit)
    [found] = await settle(world, standing(world, "x"))
    assert found.rule == "R10" and commit[:12] in found.words
    assert all_of_it(world, path) == (EXPECTED, base, world.branch("x"))
    assert {"one.py", "staged.py", "dir/new.py"} <= world.repo.files(world.private("x")).keys()
    sealed = await world.seal("x")
    assert not sealed.error and sealed.changed == 3


@pytest.mark.parametrize("damage", ["entry gone", "HEAD garbage", "no commondir"])
async def test_r11_a_broken_entry_with_the_files_all_there(world: World, damage: str) -> None:
    path, commit = await begun(world)
    admin = admin_of(world, "x")
    match damage:
        case "entry gone":
            shutil.rmtree(admin)
        case "HEAD garbage":
            (admin / "HEAD").write_bytes(b"\0\0\0")
        case _:
            (admin / "commondir").unlink()
    assert rules_of(await settle(world, standing(world, "x"))) == ["R11"]
    assert all_of_it(world, path) == (EXPECTED, commit, world.branch("x"))
    sealed = await world.seal("x")
    assert not sealed.error and world.repo.contains(sealed.head, commit) and sealed.commits == 2


@pytest.mark.parametrize("also", ["nothing else", "entry", "branch", "entry and branch", "entry pruned"])
async def test_r12_a_worktree_that_is_gone_comes_back_as_it_was(world: World, also: str) -> None:
    path, commit = await begun(world)
    shutil.rmtree(path)
    if "entry" in also:
        shutil.rmtree(admin_of(world, "x"))
    if "branch" in also:
        world.repo.git("update-ref", "-d", f"refs/heads/{world.branch('x')}")
    if "pruned" in also:
        world.repo.git("worktree", "prune")
    found = await settle(world, standing(world, "x"))
    assert rules_of(found) == ["R12"] and "private ref" in found[0].words
    assert all_of_it(world, path) == (EXPECTED, commit, world.branch("x"))
    status = world.repo.git("status", "--porcelain", cwd=path).splitlines()
    assert sorted(status) == [" D gone.py", " M one.py", "?? dir/", "?? staged.py"]


async def test_r12_commits_after_the_last_save_are_newer(world: World) -> None:
    path, _ = await begun(world)
    world.repo.commits += 1
    commit = world.repo.git("commit", "-q", "--allow-empty", "-am", "two", cwd=path) or world.repo.head(path)
    shutil.rmtree(path)
    date = 2_000_000_000  # the checkpoint was made by the clock of the machine
    world.repo.git("checkout", "-q", "--detach", commit)
    later = subprocess.run(
        ["git", "commit-tree", f"{commit}^{{tree}}", "-p", commit, "-m", "later"],
        cwd=world.repo.path, capture_output=True, text=True, check=True,
        env={**os.environ, "GIT_AUTHOR_NAME": "A", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "A",
             "GIT_COMMITTER_EMAIL": "a@b", "GIT_COMMITTER_DATE": f"{date} +0000"},
    ).stdout.strip()  # fmt: skip
    world.repo.git("checkout", "-q", "main")
    world.repo.git("update-ref", f"refs/heads/{world.branch('x')}", later)
    assert rules_of(await settle(world, standing(world, "x"))) == ["R12"]
    assert world.repo.head(path) == later and world.repo.git("status", "--porcelain", cwd=path) == ""
    assert await is_whole(world.repository.git, world.private("x"))


async def test_r12_a_branch_that_somebody_moved_elsewhere_is_not_what_comes_back(world: World) -> None:
    path, commit = await begun(world)
    world.repo.commits = 10_000_000  # later than everything else, by its date
    other = world.repo.side_commit(world.bases[world.key("x")], {"other.py": "1\n"})
    world.repo.git("update-ref", f"refs/heads/{world.branch('x')}", other)
    shutil.rmtree(path)
    assert rules_of(await settle(world, standing(world, "x"))) == ["R12"]
    assert all_of_it(world, path) == (EXPECTED, commit, world.branch("x"))
    assert world.repo.contains(world.private("x"), other)


async def test_r12_a_detached_head_is_not_forgotten(world: World) -> None:
    await world.prepare("x")
    path = world.path("x")
    world.repo.git("checkout", "-q", "--detach", cwd=path)
    commit = world.repo.commit("detached", {"d.py": "1\n"}, cwd=path)
    shutil.rmtree(path)
    assert rules_of(await settle(world, standing(world, "x"))) == ["R12"]
    assert all_of_it(world, path)[1:] == (commit, world.branch("x"))


async def test_r12_what_setup_leaves_is_no_work_and_ignored_files_are_copied(repo: Repo, tmp_path: Path) -> None:
    repo.commit("ignore", {".gitignore": ".env\n"})
    repo.write({".env": "KEY=1\n"})
    world = build_world(repo, tmp_path / "worktrees", copy=[".env"])
    world.setup_files = {"modules/index.js": "module\n"}
    world.key("x")
    world.features["x"] = replace(world.features["x"], setup=(Command("install", "npm ci"),))
    await world.prepare("x")
    path = world.path("x")
    world.repo.write({"work.py": "1\n"}, path)
    await world.keep("x")
    shutil.rmtree(path)
    world.setup_runs.clear()
    assert rules_of(await settle(world, standing(world, "x"))) == ["R12"]
    assert world.setup_runs == [(world.key("x"), path)]
    assert (path / ".env").read_text() == "KEY=1\n" and (path / "modules/index.js").exists()
    assert world.repo.files((await world.seal("x")).head).keys() == {".gitignore", "README.md", "calc.py", "work.py"}


async def test_r12_cut_off_in_the_middle_it_is_done_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine dies after the files of the commit are there, and before the uncommitted ones are."""
    path, commit = await begun(world)
    shutil.rmtree(path)
    x = standing(world, "x")

    class Died(Exception):
        pass

    async def die(*_: object) -> None:
        raise Died

    with monkeypatch.context() as patch:
        patch.setattr(restore, "lay_over", die)
        with pytest.raises(Died):
            await world.performer.reconcile(Record(RUN, x.base, x.base, (x,)))
    assert not (path / "staged.py").exists()
    assert await settle(world, x) == []
    assert all_of_it(world, path) == (EXPECTED, commit, world.branch("x"))


async def test_r13_where_nothing_is_left_it_begins_anew(world: World) -> None:
    path, _ = await begun(world)
    shutil.rmtree(path)
    shutil.rmtree(admin_of(world, "x"))
    world.repo.git("update-ref", "-d", f"refs/heads/{world.branch('x')}")
    world.repo.git("update-ref", "-d", checkpoint_ref(world.key("x")))
    [found] = await settle(world, standing(world, "x"), lasting=True)
    assert (found.rule, found.then) == ("R13", "anew") and "nothing of its work is left" in found.words


async def test_r13_a_setup_that_fails_now(world: World) -> None:
    path, _ = await begun(world)
    shutil.rmtree(path)
    world.setup_answer = "npm ci (exit code 1)"
    record = Record(RUN, world.repo.head(), world.repo.head(), (standing(world, "x"),))
    found = await world.performer.reconcile(record)
    assert [f.rule for f in found] == ["R12", "R13"] and found[1].then == "anew" and "npm ci" in found[1].words
    assert world.repo.files(world.private("x"))["staged.py"] == "2"


@pytest.mark.parametrize("index", [b"garbage", None])
async def test_r14_an_index_that_cannot_be_read(world: World, index: bytes | None) -> None:
    path, commit = await begun(world)
    file = admin_of(world, "x") / "index"
    file.unlink() if index is None else file.write_bytes(index)
    assert rules_of(await settle(world, standing(world, "x"))) == ["R14"]
    assert all_of_it(world, path) == (EXPECTED, commit, world.branch("x"))


# ── R15 … R18: branch, commits, private ref ──────────────────────────────────────────────────────────────────────


async def test_r15_a_branch_that_was_deleted_under_its_worktree(world: World) -> None:
    path, commit = await begun(world)
    world.repo.git("update-ref", "-d", f"refs/heads/{world.branch('x')}")
    assert rules_of(await settle(world, standing(world, "x"))) == ["R15"]
    assert all_of_it(world, path) == (EXPECTED, commit, world.branch("x"))


async def test_r15_a_branch_that_was_deleted_while_it_waits_to_be_merged(world: World) -> None:
    head = await world.finished("x", {"x.py": "1\n"})
    world.repo.git("update-ref", "-d", f"refs/heads/{world.branch('x')}")
    assert rules_of(await settle(world, standing(world, "x", head=head, works=False))) == ["R15"]
    assert world.repo.tip(world.branch("x")) == head


async def test_r16_a_branch_that_was_moved_on_takes_its_worktree_along(world: World) -> None:
    path, commit = await begun(world)
    ahead = world.repo.side_commit(commit, {"more.py": "4\n"})
    world.repo.git("update-ref", f"refs/heads/{world.branch('x')}", ahead)
    assert rules_of(await settle(world, standing(world, "x"))) == ["R16"]
    assert all_of_it(world, path) == ({**EXPECTED, "more.py": "4\n"}, ahead, world.branch("x"))


async def test_r16_a_branch_that_was_moved_over_changed_files_goes_back(world: World) -> None:
    path, commit = await begun(world)
    ahead = world.repo.side_commit(commit, {"one.py": "theirs\n"})
    world.repo.git("update-ref", f"refs/heads/{world.branch('x')}", ahead)
    assert rules_of(await settle(world, standing(world, "x"))) == ["R16"]
    assert all_of_it(world, path) == (EXPECTED, commit, world.branch("x"))
    assert world.repo.contains(world.private("x"), ahead)


async def test_r16_a_branch_that_was_moved_elsewhere_goes_back(world: World) -> None:
    path, commit = await begun(world)
    other = world.repo.side_commit(world.bases[world.key("x")], {"other.py": "1\n"})
    world.repo.git("update-ref", f"refs/heads/{world.branch('x')}", other)
    assert rules_of(await settle(world, standing(world, "x"))) == ["R16"]
    assert all_of_it(world, path) == (EXPECTED, commit, world.branch("x"))
    assert world.repo.contains(world.private("x"), other)


async def test_r17_a_commit_to_be_merged_that_is_gone(world: World) -> None:
    head = await world.finished("x", {"x.py": "1\n"})
    lose_objects(world, head)
    x = standing(world, "x", head=head, works=False)
    record = Record(RUN, x.base, x.base, (x,))
    [found] = await world.performer.reconcile(record)
    assert (found.rule, found.then) == ("R17", "anew")
    assert world.repo.files(world.private("x"))["x.py"] == "1"


async def test_r18_a_private_ref_that_is_gone_is_made_again(world: World) -> None:
    path, commit = await begun(world)
    world.repo.git("update-ref", "-d", checkpoint_ref(world.key("x")))
    (path / "dir/new.py").write_text("newer\n")
    assert await settle(world, standing(world, "x")) == []
    assert world.repo.files(world.private("x"))["dir/new.py"] == "newer"
    assert world.repo.contains(world.private("x"), commit)


# ── R19 and what is settled elsewhere ────────────────────────────────────────────────────────────────────────────


async def test_r19_what_was_changed_since_it_was_committed_counts(world: World) -> None:
    head = await world.finished("x", {"x.py": "1\n"})
    assert await settle(world, standing(world, "x", head=head, awaits_checks=True)) == []
    (world.path("x") / "x.py").write_text("better\n")
    x = standing(world, "x", head=head, awaits_checks=True)
    [found] = await world.performer.reconcile(Record(RUN, x.base, x.base, (x,)))
    assert (found.rule, found.then) == ("R19", "resealed") and found.sealed is not None
    assert world.repo.files(found.sealed.head)["x.py"] == "better" and world.repo.contains(found.sealed.head, head)


async def test_r20_a_merge_that_the_log_has_not_is_found(world: World) -> None:
    root = world.repo.head()
    head = await world.finished("x", {"x.py": "1\n"})
    tip = await world.integrated("x", head, root)
    assert await settle(world, standing(world, "x", head=head, works=False)) == []
    assert (await world.merge("x", head, root)).kind == "present" and world.repo.tip(INTEGRATION) == tip


async def test_r23_a_worktree_on_another_branch_is_left_as_it_is(world: World) -> None:
    path, commit = await begun(world)
    world.repo.git("checkout", "-q", "--detach", cwd=path)
    assert await settle(world, standing(world, "x")) == []
    assert (path / "staged.py").exists() and world.repo.git("branch", "--show-current", cwd=path) == ""
    sealed = await world.seal("x")
    assert not sealed.error and world.repo.tip(world.branch("x")) == sealed.head
    assert world.repo.contains(sealed.head, commit)


async def test_r25_what_belongs_to_others_is_left_alone(world: World) -> None:
    await begun(world, "over")
    shutil.rmtree(world.path("over"))
    foreign = "refs/orchestrate/20250101-000000-aaaa/x/1"
    world.repo.git("update-ref", foreign, world.repo.head())
    refs = world.repo.git("for-each-ref")
    assert await settle(world) == []
    assert world.repo.git("for-each-ref") == refs and admin_of(world, "over").is_dir()


async def test_trouble_with_one_attempt_is_told_and_the_others_are_settled(world: World) -> None:
    await begun(world, "a")
    path, commit = await begun(world, "b")
    shutil.rmtree(world.path("a"))
    world.path("a").write_text("a file in its place")
    shutil.rmtree(path)
    record = Record(RUN, world.repo.head(), world.repo.head(), (standing(world, "a"), standing(world, "b")))
    found = await world.performer.reconcile(record)
    assert [(f.rule, f.feature) for f in found] == [("", "a"), ("R12", "b")]
    assert all_of_it(world, path) == (EXPECTED, commit, world.branch("b"))


def test_the_page_is_made_of_the_table() -> None:
    assert [rule.number for rule in RULES] == [f"R{n}" for n in range(1, len(RULES) + 1)]
    assert render_table() in (DOCS / "reconciliation.md").read_text("utf-8")


def test_every_rule_has_a_test_here() -> None:
    tested = {word for name in globals() if name.startswith("test_r") for word in name.split("_") if word[1:].isdigit()}
    elsewhere = {"r22", "r24"}  # test_integrate.py; tests/scenario
    assert {rule.number.lower() for rule in RULES} - tested == elsewhere
