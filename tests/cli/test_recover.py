"""Recover lists the work of any attempt of any run, and brings it back without overwriting anything."""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrate.app.recoverable import list_entries
from orchestrate.cli.recover import table_of
from orchestrate.core import events as ev
from orchestrate.core.names import AttemptKey, attempt_branch, checkpoint_ref
from orchestrate.git.checkpoint import keep
from orchestrate.git.link import find_link
from orchestrate.git.repository import open_repository
from orchestrate.store.log import SqliteEventLog
from tests.support.logs import RUN, happy_diamond
from tests.support.repos import Repo, assert_untouched, frozen_environ
from tests.support.statedir import Recording

STRANGE = "20250101-000000-aaaa"


def attempt(recording: Recording, feature: str, *, run: str = RUN, number: int = 1) -> Path:
    """An attempt's worktree with a commit and with uncommitted work, saved under its private ref."""
    repo, key = recording.repo, AttemptKey(run, feature, number)
    path = repo.path.parent / "worktrees" / run / f"{feature}.{number}"
    repo.git("worktree", "add", "-q", "-b", attempt_branch(key), str(path), "main")
    link = find_link(repo.path / ".git", path)
    assert link is not None
    link.mark(str(key))
    repo.commit(feature, {f"{feature}.py": "committed\n"}, path)
    repo.write({f"{feature}.py": "changed\n", "bytes/new.bin": f"{feature}\n"}, path)
    (path / "README.md").unlink()
    (path / "run.sh").symlink_to("calc.py")
    save(repo, key, path)
    return path


def save(repo: Repo, key: AttemptKey, path: Path) -> None:
    repository = open_repository(repo.path, environ=frozen_environ())
    asyncio.run(keep(repository, key, path, branch_prefix="orch"))


def everything_in(path: Path) -> dict[str, bytes | str]:
    return {
        str(file.relative_to(path)): str(file.readlink()) if file.is_symlink() else file.read_bytes()
        for file in path.rglob("*")
        if file.name != ".git" and (file.is_symlink() or file.is_file())
    }


@pytest.fixture
def left(recording: Recording) -> dict[str, Path]:
    recording.store_scenario(happy_diamond())
    return {"api": attempt(recording, "api"), "web": attempt(recording, "web", run=STRANGE)}


def test_nothing_has_been_left(recording: Recording) -> None:
    answer = recording.ask("recover")
    assert (answer.code, answer.out) == (0, "") and "no run has left any work here" in answer.err
    assert recording.ask("recover", "--json").json == {"schema": "orchestrate/recover/v1", "entries": []}


def test_it_lists_what_lies_where_also_of_runs_that_the_log_does_not_know(
    recording: Recording, left: dict[str, Path]
) -> None:
    shutil.rmtree(left["web"])
    recording.repo.git("worktree", "prune")
    recording.repo.git("branch", "-D", attempt_branch(AttemptKey(STRANGE, "web", 1)))
    with assert_untouched(recording.repo):
        entries = {entry["feature"]: entry for entry in recording.ask("recover", "--json").json["entries"]}
        text = recording.ask("recover")
    api, web = entries["api"], entries["web"]
    assert (api["run"], api["attempt"], api["state"]) == (RUN, 1, "integrated")
    assert (api["worktree"], api["uncommitted_files"], api["commits"]) == (str(left["api"]), 4, 1)
    assert api["changed_files"] == 4  # one of them committed and changed again
    assert api["private_ref"] == checkpoint_ref(AttemptKey(RUN, "api", 1)) and api["held_by"] == ""
    assert (web["run"], web["state"], web["worktree"], web["branch"]) == (STRANGE, "unknown", "", "")
    assert (web["commits"], web["changed_files"], web["uncommitted_files"]) == (1, 4, 0)
    assert text.out.splitlines()[0].split() == ["run", "feature", "when", "state", "work", "in"]
    assert f"{STRANGE}  web@1" in text.out and "1 commit, 4 files" in text.out and "private ref" in text.out
    assert "--branch NAME" in text.err


def test_what_is_in_a_branch_that_stays_is_listed_only_when_asked_for(recording: Recording) -> None:
    path = attempt(recording, "api")
    recording.repo.git("checkout", "-q", "--", ".", cwd=path)
    recording.repo.git("clean", "-qfd", cwd=path)
    save(recording.repo, AttemptKey(RUN, "api", 1), path)
    assert len(recording.ask("recover", "--json").json["entries"]) == 1
    recording.repo.git("merge", "-q", "--no-ff", "-m", "merge", attempt_branch(AttemptKey(RUN, "api", 1)))
    quiet = recording.ask("recover")
    assert quiet.out == "" and "recover --all" in quiet.err
    [entry] = recording.ask("recover", "--all", "--json").json["entries"]
    assert entry["held_by"] == "main"


def test_after_cleanup_of_all_every_byte_comes_back(recording: Recording, left: dict[str, Path]) -> None:
    before = {feature: everything_in(path) for feature, path in left.items()}
    assert recording.ask("cleanup", "--all", "--yes").code == 0
    assert not any(path.exists() for path in left.values())
    assert recording.repo.refs("refs/heads") == ["refs/heads/main"]
    for feature, expected in before.items():
        target = recording.repo.path.parent / f"again-{feature}"
        answer = recording.ask("recover", feature, "--worktree", str(target))
        assert answer.code == 0, answer.err
        assert everything_in(target) == expected
        status = recording.repo.git("status", "--porcelain", cwd=target).splitlines()
        assert sorted(status) == [" D README.md", f" M {feature}.py", "?? bytes/", "?? run.sh"]


def test_into_a_branch_with_what_was_not_committed_as_one_more_commit(
    recording: Recording, left: dict[str, Path]
) -> None:
    repo, expected = recording.repo, everything_in(left["api"])
    with assert_untouched_but(repo, "refs/heads/rescued"):
        assert recording.ask("recover", "api", "--branch", "rescued").code == 0
    subjects = repo.git("log", "--format=%s", "main..rescued").splitlines()
    assert subjects == ["What api had not committed", "api"]
    repo.git("worktree", "add", "-q", str(repo.path.parent / "look"), "rescued")
    assert everything_in(repo.path.parent / "look") == expected
    assert everything_in(left["api"]) == expected


def assert_untouched_but(repo: Repo, ref: str):
    class Both:
        def __enter__(self) -> None:
            self.inner = assert_untouched(repo)
            self.inner.__enter__()

        def __exit__(self, *exc: object) -> None:
            made = repo.tip(ref)
            repo.git("update-ref", "-d", ref)
            self.inner.__exit__(*exc)
            repo.git("update-ref", ref, made)

    return Both()


def test_newer_than_the_last_save_is_what_lies_in_the_worktree(recording: Recording, left: dict[str, Path]) -> None:
    (left["api"] / "api.py").write_text("newest\n")
    assert recording.ask("recover", "api", "--branch", "rescued").code == 0
    assert recording.repo.files("rescued")["api.py"] == "newest"


def test_a_worktree_on_a_new_branch(recording: Recording, left: dict[str, Path], tmp_path: Path) -> None:
    answer = recording.ask("recover", "api", "-b", "mine", "-w", str(tmp_path / "mine"), "--json")
    assert answer.code == 0 and answer.json["made"]["branch"] == "mine"
    assert recording.repo.git("branch", "--show-current", cwd=tmp_path / "mine") == "mine"
    assert everything_in(tmp_path / "mine") == everything_in(left["api"])


def test_show_prints_what_it_changed_against_its_base(recording: Recording, left: dict[str, Path]) -> None:
    shown = recording.ask("recover", "api", "--show").out
    assert "bytes/new.bin" in shown.split("diff --git")[0]
    assert "+changed" in shown and "committed" not in shown


def test_of_several_attempts_the_newest_unless_one_is_named(recording: Recording) -> None:
    attempt(recording, "api", number=1)
    second = attempt(recording, "api", number=2)
    (second / "api.py").write_text("second\n")
    assert recording.ask("recover", "api", "-b", "newest").code == 0
    assert recording.ask("recover", "api@1", "-b", "first").code == 0
    assert recording.repo.files("newest")["api.py"] == "second"
    assert recording.repo.files("first")["api.py"] == "changed"


REFUSED = {
    "unknown feature": (("nosuch", "--show"), "there is something of: api, web"),
    "unknown attempt": (("api@7", "--show"), "there is: api@1"),
    "no attempt at all": (("api@x", "--show"), "such as: api@1"),
    "unknown run": (("api", "--run", "2020", "--show"), "there is no run '2020'"),
    "unknown run of the list": (("--run", "nosuch"), "recover --all lists them"),
    "further back than there are runs": (("--run", "@2"), "there is only @1"),
    "nothing to do": (("api",), "--show, --branch NAME or --worktree DIR"),
    "nothing to do with nothing": (("nosuch",), "nothing of feature 'nosuch' can be brought back"),
    "no feature": (("--branch", "x"), "see what there is"),
    "branch that exists": (("api", "--branch", "main"), "--branch NAME"),
    "branch below another": (("api", "--branch", "main/x"), "choose another name"),
    "no name for a branch": (("api", "--branch", "-D"), "--branch rescued"),
    "a name that means something else": (("api", "--branch", "@"), "--branch rescued"),
    "a full name": (("api", "--branch", "refs/heads/q"), "--branch rescued"),
    "directory that exists": (("api", "--worktree", "."), "--worktree DIR"),
    "directory below a file": (("api", "--worktree", ".git/HEAD/b"), "--worktree DIR"),
    "directory below a file of the user's": (("api", "--worktree", "README.md/b"), "--worktree DIR"),
    "directory inside of git's": (("api", "--worktree", ".git/zz"), "--worktree DIR"),
    "patch as JSON": (("api", "--show", "--json"), "leave one of them out"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_with_a_way_on_and_nothing_changed(recording: Recording, left: dict[str, Path], case: str) -> None:
    arguments, hint = REFUSED[case]
    refs = recording.repo.git("for-each-ref")
    answer = recording.ask("recover", *arguments)
    assert answer.code == 2 and hint in answer.out + answer.err
    assert recording.repo.git("for-each-ref") == refs


def test_a_feature_of_two_runs_is_asked_about(recording: Recording, left: dict[str, Path]) -> None:
    attempt(recording, "api", run=STRANGE)
    answer = recording.ask("recover", "api", "--show")
    assert answer.code == 2 and f"--run {RUN}, --run {STRANGE}" in answer.err
    assert recording.ask("recover", "api", "--run", "aaaa", "--branch", "strange").code == 0


@pytest.mark.parametrize(("named", "run"), [("@1", RUN), (RUN[:8], RUN), (RUN[-4:], RUN), (STRANGE[:4], STRANGE)])
def test_a_run_is_named_as_everywhere_also_one_that_only_git_knows(
    recording: Recording, left: dict[str, Path], named: str, run: str
) -> None:
    entries = recording.ask("recover", "--run", named, "--json").json["entries"]
    assert [entry["run"] for entry in entries] == [run]
    feature = entries[0]["feature"]
    assert recording.ask("recover", f"{feature}@1", "--run", named, "--show").code == 0


def test_a_run_of_which_nothing_is_left_is_no_unknown_run(recording: Recording) -> None:
    recording.store_scenario(happy_diamond())
    answer = recording.ask("recover", "--run", "@1")
    assert answer.code == 2 and f"nothing of run {RUN} is left" in answer.err


def test_what_holds_nothing_is_listed_only_when_asked_for(recording: Recording, left: dict[str, Path]) -> None:
    """Cancelled before its agent did anything, on a base that is in no branch that stays."""
    repo, scenario = recording.repo, happy_diamond()
    base = repo.git("commit-tree", "-p", "main", "-m", "merge of two", "main^{tree}")
    repo.git("update-ref", f"refs/heads/{attempt_branch(AttemptKey(RUN, 'dash', 1))}", base)
    events = [replace(e, base=base) if isinstance(e, ev.WorktreePrepared) else e for e in scenario.events]
    recording.store(scenario.plan, events)
    attempt(recording, "web")
    listed = recording.ask("recover")
    assert "dash" not in listed.out and "web@1" in listed.out
    assert "web@1" in listed.err and "recover --all" in listed.err
    assert "no changes" in recording.ask("recover", "--all").out


def test_the_table_fits_a_narrow_terminal(recording: Recording, left: dict[str, Path]) -> None:
    repository = open_repository(recording.repo.path, environ=frozen_environ())
    with SqliteEventLog(recording.state.log, read_only=True) as log:
        entries = list_entries(repository, log, branch_prefix="orch")
    assert table_of(entries, 200)[0].split() == ["run", "feature", "when", "state", "work", "in"]
    assert table_of(entries, 80)[0].split() == ["run", "feature", "state", "work"]
    assert max(map(len, table_of(entries, 80))) <= 80


def test_the_path_that_is_said_is_the_plain_one(recording: Recording, left: dict[str, Path]) -> None:
    done = recording.ask("recover", "api", "--worktree", "../again")
    assert f"into {recording.repo.path.parent / 'again'}\n" in done.out


def test_what_git_has_lost_is_said(recording: Recording) -> None:
    path = attempt(recording, "api")
    shutil.rmtree(path)
    recording.repo.git("worktree", "prune")
    tip = recording.repo.tip(attempt_branch(AttemptKey(RUN, "api", 1)))
    (recording.repo.path / ".git/objects" / tip[:2] / tip[2:]).unlink()
    answer = recording.ask("recover")
    assert answer.code == 0 and "lost" in answer.out
    assert recording.ask("recover", "api", "--show").code == 2
