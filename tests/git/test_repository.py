"""What kinds of repository are taken, which are refused, and with what words."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from orchestrate.errors import OrchestrateError
from orchestrate.git.fingerprint import fingerprint
from orchestrate.git.repository import open_repository, resolve_base
from orchestrate.git.run import build_git, with_identity
from tests.support.repos import Repo, assert_untouched, frozen_environ

from .conftest import RUN, World, build_world


def opened(path: Path, **variables: str):
    return open_repository(path, environ=frozen_environ(**variables))


def refusal(path: Path, **variables: str) -> OrchestrateError:
    with pytest.raises(OrchestrateError) as refused:
        opened(path, **variables)
    return refused.value


async def whole_feature(repo: Repo, tmp_path: Path) -> str:
    """One feature from worktree to integration branch; the commit that it ends at."""
    world = build_world(repo, tmp_path / "worktrees")
    with assert_untouched(repo):
        onto = resolve_base(world.repository).commit
        head = await world.finished("x", {"x.py": "1\n"}, onto)
        return await world.integrated("x", head, onto)


# ── the zoo ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ["with spaces", "emoji-🦆", "new\nline", "per%cent$HOME", "quo\"te'", "-dash"])
async def test_any_path_will_do(tmp_path: Path, name: str) -> None:
    repo = Repo.make(tmp_path / name)
    assert repo.files(await whole_feature(repo, tmp_path / name / ".." / "x\ty"))["x.py"] == "1"


async def test_a_subdirectory_and_a_link_lead_to_the_same_repository(repo: Repo, tmp_path: Path) -> None:
    (repo.path / "sub").mkdir()
    (tmp_path / "link").symlink_to(repo.path)
    assert opened(repo.path / "sub").toplevel == opened(tmp_path / "link").toplevel == repo.path


async def test_sha256(tmp_path: Path) -> None:
    repo = Repo.make(tmp_path / "project", args=("--object-format=sha256",))
    assert len(await whole_feature(repo, tmp_path)) == 64


async def test_shallow(repo: Repo, tmp_path: Path) -> None:
    repo.commit("second", {"b.py": "1\n"})
    repo.git("clone", "--quiet", "--depth=1", f"file://{repo.path}", str(tmp_path / "clone"))
    clone = Repo(tmp_path / "clone")
    assert any("shallow" in notice for notice in opened(clone.path).notices)
    assert "x.py" in clone.files(await whole_feature(clone, tmp_path))


async def test_a_linked_worktree_of_the_users(repo: Repo, tmp_path: Path) -> None:
    repo.git("worktree", "add", "--quiet", "-b", "topic", str(tmp_path / "topic"))
    linked = Repo(tmp_path / "topic")
    repository = opened(linked.path)
    assert (repository.toplevel, repository.common_dir) == (linked.path, repo.path / ".git")
    assert "x.py" in linked.files(await whole_feature(linked, tmp_path))


async def test_a_worktree_of_a_bare_repository(repo: Repo, tmp_path: Path) -> None:
    repo.git("clone", "--quiet", "--bare", str(repo.path), str(tmp_path / "bare.git"))
    repo.git("worktree", "add", "--quiet", "-b", "topic", str(tmp_path / "topic"), cwd=tmp_path / "bare.git")
    linked = Repo(tmp_path / "topic")
    assert "x.py" in linked.files(await whole_feature(linked, tmp_path))


async def test_a_detached_head(repo: Repo, tmp_path: Path) -> None:
    repo.git("checkout", "--quiet", "--detach")
    repo.git("branch", "--quiet", "-m", "main", "trunk")
    assert resolve_base(opened(repo.path)).kind == "commit"
    await whole_feature(repo, tmp_path)


async def test_a_dirty_checkout_in_the_middle_of_a_merge(repo: Repo, tmp_path: Path) -> None:
    side = repo.side_commit(repo.head(), {"calc.py": "# side\n"})
    repo.commit("mine", {"calc.py": "# mine\n"})
    repo.git("merge", "--quiet", side, ok=False)
    repo.write({"untracked.py": "1\n"})
    await whole_feature(repo, tmp_path)


async def test_a_checkout_in_the_middle_of_a_rebase(repo: Repo, tmp_path: Path) -> None:
    side = repo.side_commit(repo.head(), {"calc.py": "# side\n"})
    repo.commit("mine", {"calc.py": "# mine\n"})
    repo.git("rebase", "--quiet", side, ok=False)
    assert resolve_base(opened(repo.path)).name == "main"
    await whole_feature(repo, tmp_path)


async def test_submodules_are_said(repo: Repo, tmp_path: Path) -> None:
    Repo.make(tmp_path / "library")
    repo.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(tmp_path / "library"), "lib")
    repo.commit("submodule")
    assert any("git submodule update --init" in notice for notice in opened(repo.path).notices)
    assert "x.py" in repo.git("ls-tree", "--name-only", await whole_feature(repo, tmp_path)).split()


def test_lfs_and_sparse_are_said(repo: Repo) -> None:
    repo.commit("lfs", {".gitattributes": "*.bin filter=lfs diff=lfs merge=lfs -text\n"})
    repo.git("config", "core.sparseCheckout", "true")
    words = " ".join(opened(repo.path).notices)
    assert "LFS" in words and "sparse" in words


def test_variables_of_a_hook_do_not_mislead(repo: Repo, tmp_path: Path) -> None:
    other = Repo.make(tmp_path / "other")
    git_dir = str(other.path / ".git")
    assert opened(repo.path, GIT_DIR=git_dir, GIT_INDEX_FILE="/nowhere", GIT_WORK_TREE="/").toplevel == repo.path


# ── refusals ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_no_repository(tmp_path: Path) -> None:
    assert "git init" in refusal(tmp_path, GIT_CEILING_DIRECTORIES=str(tmp_path.parent)).hint


def test_no_directory(tmp_path: Path) -> None:
    assert "no directory" in refusal(tmp_path / "nowhere").message


def test_bare(tmp_path: Path) -> None:
    Repo.make(tmp_path / "bare", {}, args=("--bare",))
    assert "bare" in refusal(tmp_path / "bare").message


def test_inside_the_git_directory(repo: Repo) -> None:
    assert ".git directory" in refusal(repo.path / ".git").message


def test_no_commits(tmp_path: Path) -> None:
    repo = Repo.make(tmp_path / "project", {})
    with pytest.raises(OrchestrateError, match="no commits yet"):
        resolve_base(opened(repo.path))
    with pytest.raises(OrchestrateError, match="no commits yet"):
        resolve_base(opened(repo.path), "main")


async def test_a_worktree_of_ours(world: World) -> None:
    await world.prepare("x")
    assert "made for one of its features" in refusal(world.path("x")).message
    path = await world.performer.integration_worktree(RUN, world.repo.head())
    assert "made for one of its features" in refusal(path).message


@pytest.mark.parametrize("branch", ["orch", "team"])
def test_a_branch_where_our_prefix_would_be(repo: Repo, branch: str) -> None:
    repo.git("branch", branch)
    with pytest.raises(OrchestrateError) as refused:
        open_repository(repo.path, environ=frozen_environ(), branch_prefix=f"{branch}/runs")
    assert f"'{branch}'" in refused.value.message and "branch_prefix" in refused.value.hint


def test_a_git_that_is_too_old_or_missing(repo: Repo, tmp_path: Path) -> None:
    (tmp_path / "git").write_text("#!/bin/sh\necho git version 2.25.1\n")
    (tmp_path / "git").chmod(0o755)
    assert "2.25.1" in refusal(repo.path, PATH=f"{tmp_path}:{os.environ['PATH']}").message
    (tmp_path / "empty").mkdir()
    assert "cannot be started" in refusal(repo.path, PATH=str(tmp_path / "empty")).message


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
def test_a_repository_of_somebody_else(repo: Repo) -> None:
    os.chown(repo.path, 65534, 65534)
    os.chown(repo.path / ".git", 65534, 65534)
    assert "safe.directory" in refusal(repo.path).hint


# ── the base ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_every_kind_of_base(repo: Repo, tmp_path: Path) -> None:
    repo.git("tag", "-a", "v1", "-m", "one")
    repo.git("clone", "--quiet", str(repo.path), str(tmp_path / "clone"))
    repository, commit = opened(tmp_path / "clone"), repo.head()
    for name, kind in (("main", "branch"), ("origin/main", "remote branch"), ("v1", "tag"), (commit[:9], "commit")):
        base = resolve_base(repository, name)
        assert (base.kind, base.commit, base.name) == (kind, commit, name)


@pytest.mark.parametrize("name", ["mian", "-x", "--help", "refs/heads/main", "v9", "deadbeef", "a b", "@{-1}"])
def test_a_base_that_does_not_exist(repo: Repo, name: str) -> None:
    with pytest.raises(OrchestrateError, match="does not exist") as refused:
        resolve_base(opened(repo.path), name)
    assert "main" in refused.value.hint


def test_the_default_branch(repo: Repo, tmp_path: Path) -> None:
    repo.git("branch", "develop")
    assert resolve_base(opened(repo.path)).name == "main"
    repo.git("clone", "--quiet", "-b", "develop", str(repo.path), str(tmp_path / "clone"))
    Repo(tmp_path / "clone").git("symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/develop")
    assert resolve_base(opened(tmp_path / "clone")).name == "develop"
    repo.git("branch", "-m", "main", "trunk")
    assert resolve_base(opened(repo.path)).name == "trunk"


# ── what must not change ─────────────────────────────────────────────────────────────────────────────────────────


def test_the_fingerprint_sees_what_changed(repo: Repo) -> None:
    repository = opened(repo.path)
    before = fingerprint(repository)
    assert before.differences(fingerprint(repository)) == ()
    repo.git("branch", "orch/x/integration")
    repo.git("update-ref", "refs/orchestrate/x/y/1", "HEAD")
    assert before.differences(fingerprint(repository)) == ()
    repo.git("branch", "surprise")
    repo.git("config", "user.name", "Eve")
    repo.write({".git/hooks/pre-commit": "#!/bin/sh\n", "staged.py": "1\n"})
    repo.git("add", "staged.py")
    found = before.differences(fingerprint(repository))
    assert found == ("config changed", "hooks/pre-commit appeared", "refs/heads/surprise appeared", "the index changed")


def test_nobody_to_commit_as_is_no_obstacle(repo: Repo) -> None:
    nobody = {k: v for k, v in frozen_environ().items() if not k.startswith(("GIT_AUTHOR", "GIT_COMMITTER"))}
    repo.git("config", "user.useConfigOnly", "true")
    git = with_identity(build_git(repo.path, nobody))
    assert "orchestrate@localhost" in os.fsdecode(git.run_now("var", "GIT_COMMITTER_IDENT").stdout)
    repo.git("config", "user.name", "Grace")
    repo.git("config", "user.email", "grace@example.com")
    git = with_identity(build_git(repo.path, nobody))
    assert "grace@example.com" in os.fsdecode(git.run_now("var", "GIT_COMMITTER_IDENT").stdout)
