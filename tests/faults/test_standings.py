"""A repository in whatever state its user left it: the run works from the base commit, and every byte of that state stays."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.project import COMMAND, Project

from .conftest import ONE, SCRIPT
from .disk import mounted, why_no_disk

SIDES = """
git switch -qc side && echo theirs > both.txt && git add both.txt && git commit -qm Theirs
git switch -q main && echo ours > both.txt && git add both.txt && git commit -qm Ours
"""
"""Two branches that conflict."""

OURS = ("objects", "orchestrate", "worktrees", "refs/heads/orch", "refs/orchestrate", "logs/refs/heads/orch")
"""Below .git, where runs may write."""

UNFINISHED = {
    "a merge": f"{SIDES} git merge side || true",
    "a merge with its conflicts staged": f"{SIDES} git merge side || true; git add both.txt",
    "a rebase": f"{SIDES} git rebase side || true",
    "a rebase, stopped to edit": "git commit -q --allow-empty -m More; git rebase -q -i --exec false HEAD~1 || true",
    "a cherry-pick": f"{SIDES} git cherry-pick side || true",
    "a revert": f"{SIDES} echo again > both.txt; git commit -qam Again; git revert --no-edit HEAD~1 || true",
    "a rebase or `git am`": f"{SIDES} git format-patch -q -1 side -o ..; git am -q ../0001-*.patch || true",
    "a bisection": "git commit -q --allow-empty -m More; git bisect start -q HEAD HEAD~1 || true",
}

STANDINGS = {
    **UNFINISHED,
    "clean": "true",
    "dirty": "echo mine > tidy.txt; echo new > untracked.txt; echo staged > staged.txt; git add staged.txt",
    "detached": "git commit -q --allow-empty -m More; git switch -q --detach HEAD~1",
    "on a branch without commits": "git switch -q --orphan nothing; git checkout -q main -- config",
    "index.lock left behind": "touch .git/index.lock",
    "HEAD.lock left behind": "touch .git/HEAD.lock",
    "a damaged index": "printf garbage > .git/index",
    "no index": "rm .git/index",
    "with a stash": "echo mine > tidy.txt; git stash -q; echo more > tidy.txt",
    "half staged": "echo a > tidy.txt; git add tidy.txt; echo b > tidy.txt; echo c > meant.txt; git add -N meant.txt",
    "hidden changes": "git update-index --assume-unchanged tidy.txt; echo mine > tidy.txt",
    "sparse": "git sparse-checkout set --no-cone /config",
    "packed": "git gc -q; git pack-refs --all",
    "a split index": "git update-index --split-index",
    "with hooks that fail": "for h in pre-commit post-checkout reference-transaction; do printf '#!/bin/sh\\nexit 1' > .git/hooks/$h; chmod +x .git/hooks/$h; done",
    "with another worktree": "git worktree add -q ../mine -b mine; echo mine > ../mine/tidy.txt",
    "a shallow clone": "cd ..; git clone -q --depth 1 file://$PWD/project shallow; rm -rf project; mv shallow project",
    "the default branch is checked out elsewhere": "git switch -qc work; git worktree add -q ../main main",
}  # fmt: skip


@pytest.fixture
def bare_project(tmp_path: Path) -> Iterator[Project]:
    project = Project(tmp_path)
    project.env |= {"GIT_EDITOR": "true", "GIT_SEQUENCE_EDITOR": "true"}
    project.arrange(ONE, script=SCRIPT)
    project.git("checkout", "-q", "--force", "HEAD")
    project.git("reset", "-q", "--hard")
    (project.root / "untracked.txt").unlink()
    yield project
    assert not project.processes()


def fingerprint(root: Path) -> dict[str, str]:
    """Every file of the checkout and of its git directory that is not ours: mode, time of change, contents."""
    found = {}
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root).as_posix()
        if path.is_file() and not any(name.startswith(f".git/{ours}") for ours in OURS):
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            # Of a split index git renews the time with each reading, lest it be taken for an old one.
            changed = 0 if name.startswith(".git/sharedindex.") else path.stat().st_mtime_ns
            found[name] = f"{path.stat().st_mode:o} {changed} {digest}"
    return found


@pytest.mark.parametrize("standing", STANDINGS)
def test_a_run_leaves_it_as_it_is(bare_project: Project, standing: str) -> None:
    project = bare_project
    subprocess.run(
        ["sh", "-c", STANDINGS[standing]], cwd=project.root, env=project.env, capture_output=True, check=True
    )
    before = fingerprint(project.root)
    others = {path: fingerprint(path) for path in project.root.parent.iterdir() if (path / ".git").is_file()}
    ended = project.orchestrate("run", "--yes")
    assert ended.code == 0, ended
    assert fingerprint(project.root) == before
    assert {path: fingerprint(path) for path in others} == others
    assert "made" in project.git("show", f"{project.branches()[-1]}:one.txt")
    said = f"is not finished in {project.root}: it stays as it is" in ended.stderr
    assert said is (standing in UNFINISHED), ended.stderr
    assert "your repository changed" not in ended.stderr


@pytest.mark.parametrize(
    ("arrange", "words"),
    [
        ("rm -rf .git && git init -q -b main", "commit"),
        ("rm -rf .git", "repository"),
        ("git config core.bare true", "bare"),
    ],
)
def test_where_there_is_nothing_to_start_from_it_is_refused(bare_project: Project, arrange: str, words: str) -> None:
    project = bare_project
    subprocess.run(["sh", "-c", arrange], cwd=project.root, env=project.env, check=True)
    before = fingerprint(project.root)
    refused = project.orchestrate("run", "--yes")
    assert refused.code == 2 and words in refused.stderr and "hint:" in refused.stderr, refused
    assert fingerprint(project.root) == before


@pytest.mark.skipif(bool(why_no_disk()), reason=why_no_disk())
def test_worktrees_may_lie_on_another_disk(bare_project: Project, tmp_path: Path) -> None:
    project, place = bare_project, tmp_path / "other"
    place.mkdir()
    with mounted(place, 64 * 2**20) as disk:
        env = {**project.env, "ORCHESTRATE_WORKTREES_DIR": str(place / "trees"), "ORCHESTRATE_DISK__LOW_MB": "1"}
        done = disk.run(COMMAND, "run", "--yes", cwd=project.root, env=env, check=False)
        assert done.returncode == 0, done
        assert "made" in project.git("show", f"{project.branches()[-1]}:one.txt")
