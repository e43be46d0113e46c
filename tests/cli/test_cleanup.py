"""Cleanup says what goes and what stays before it removes anything, and asks unless told not to."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest

from orchestrate.cli.cleanup import _show_verdicts
from orchestrate.cli.printer import Printer, Stream
from orchestrate.core.names import AttemptKey, attempt_branch, checkpoint_ref
from orchestrate.engine.lock import acquire, this_process
from orchestrate.git.cleanup import Item
from orchestrate.git.link import find_link
from tests.support.logs import BRANCH, RUN, happy_diamond
from tests.support.statedir import Recording


def leave_behind(recording: Recording, feature: str, *, merged: bool) -> Path:
    """An attempt's worktree with one commit."""
    key = AttemptKey(RUN, feature, 1)
    path = recording.repo.path.parent / "worktrees" / f"{feature}.1"
    recording.repo.git("worktree", "add", "-q", "-b", attempt_branch(key), str(path))
    link = find_link(recording.repo.path / ".git", path)
    assert link is not None
    link.mark(str(key))
    recording.repo.commit(feature, {f"{feature}.py": "1\n"}, path)
    if merged:
        recording.repo.git("merge", "-q", "--no-ff", "-m", "merge", attempt_branch(key))
    return path


@pytest.fixture
def left(recording: Recording) -> dict[str, Path]:
    recording.store_scenario(happy_diamond())
    return {
        "api": leave_behind(recording, "api", merged=True),
        "web": leave_behind(recording, "web", merged=False),
    }


def test_the_dry_run_names_what_goes_and_what_stays_and_why(recording: Recording, left: dict[str, Path]) -> None:
    answer = recording.ask("cleanup", "--dry-run")
    words = [" ".join(line.split()) for line in answer.out.splitlines()]
    assert words[0] == "goes"
    assert words[1].startswith(f"{RUN}/api/1 worktree ") and words[1].endswith("its commits are in main")
    assert words[2] == "stays"
    assert words[3].startswith(f"{RUN}/web/1 worktree ") and words[3].endswith("its work is not merged")
    assert words[4].endswith("and 1 branch can go; 1 stays")
    assert all(path.exists() for path in left.values())


def test_merged_is_removed_and_the_rest_is_left_alone(recording: Recording, left: dict[str, Path]) -> None:
    answer = recording.ask("cleanup", "--yes")
    assert answer.code == 0
    assert re.fullmatch(r"removed 1 worktree \(\d+ B\) and 1 branch", answer.out.splitlines()[-1])
    assert (left["api"].exists(), left["web"].exists()) == (False, True)
    assert [ref.split("/")[-2] for ref in recording.repo.refs("refs/heads/orch")] == ["web"]
    assert "nothing can be removed" in recording.ask("cleanup", "--yes").out


def test_all_keeps_unmerged_work_under_a_private_ref(recording: Recording, left: dict[str, Path]) -> None:
    (left["web"] / "unsaved.py").write_text("2\n")
    document = recording.ask("cleanup", "--all", "--yes", "--json").json
    assert document["schema"] == "orchestrate/cleanup/v1"
    assert {item["feature"]: item["removed"] for item in document["items"]} == {"api": True, "web": True}
    assert not any(path.exists() for path in left.values())
    kept = recording.repo.tip(checkpoint_ref(AttemptKey(RUN, "web", 1)))
    assert {"web.py", "unsaved.py"} <= set(recording.repo.files(kept))


def test_without_a_terminal_somebody_has_to_say_yes(recording: Recording, left: dict[str, Path]) -> None:
    for mode in ("--merged", "--all"):
        answer = recording.ask("cleanup", mode)
        assert answer.code == 2
        assert answer.out.startswith("goes\n")
        assert "hint: answer with --yes" in answer.err
    assert all(path.exists() for path in left.values())


def test_json_is_no_place_for_a_question(recording: Recording, left: dict[str, Path]) -> None:
    answer = recording.ask("cleanup", "--json")
    assert answer.code == 2
    assert answer.json["error"]["message"] == "cleanup --json does not ask"
    assert left["api"].exists()


def test_not_while_an_engine_is_at_work_but_looking_is_allowed(recording: Recording, left: dict[str, Path]) -> None:
    with acquire(recording.state.engine_lock, this_process(run=RUN, command="orchestrate run", since=1.0)):
        refused = recording.ask("cleanup", "--yes")
        looked = recording.ask("cleanup", "--dry-run")
    assert refused.code == 2
    assert f"run {RUN} is being driven by pid" in refused.err
    assert looked.code == 0
    assert left["api"].exists()


def test_only_one_run(recording: Recording, left: dict[str, Path]) -> None:
    other = recording.ask("cleanup", "--dry-run", "--run", "2019")
    assert other.code == 2
    assert f"{RUN}/api/1" in recording.ask("cleanup", "--dry-run", "--run", RUN).out
    assert left["api"].exists()


def test_nothing_to_clean(recording: Recording) -> None:
    assert recording.ask("cleanup", "--yes").out.startswith("there are no worktrees or branches of orchestrate here")
    assert recording.ask("cleanup", "--all", "--merged").code == 2


def test_the_users_own_branches_are_no_candidates(recording: Recording, left: dict[str, Path]) -> None:
    recording.repo.git("branch", "mine")
    recording.repo.git("worktree", "add", "-q", "-b", "mine-too", str(left["api"].parent / "mine"))
    recording.ask("cleanup", "--all", "--yes")
    assert {"refs/heads/main", "refs/heads/mine", "refs/heads/mine-too"} <= set(recording.repo.refs("refs/heads"))
    assert (left["api"].parent / "mine").is_dir()


def test_all_says_how_a_result_that_nobody_took_over_can_be_removed(
    recording: Recording, left: dict[str, Path]
) -> None:
    recording.repo.git("branch", BRANCH, attempt_branch(AttemptKey(RUN, "web", 1)))
    answer = recording.ask("cleanup", "--all", "--yes")
    assert f"  git branch -D {BRANCH}" in answer.err.splitlines()
    assert BRANCH in " ".join(recording.repo.refs("refs/heads"))
    assert "git branch -D" not in recording.ask("cleanup", "--merged", "--yes").err


@pytest.mark.parametrize(
    ("width", "shown"),
    [
        (80, [f"  {RUN}/api/1  branch  its work is not merged; kept under a", f"{' ' * 38}private ref"]),
        (60, [f"  {RUN}/api/1  branch", "      its work is not merged; kept under a private ref"]),
    ],
)
def test_reasons_go_on_below_themselves_on_a_narrow_terminal(width: int, shown: list[str]) -> None:
    item = Item(AttemptKey(RUN, "api", 1), branch="b", reason="its work is not merged; kept under a private ref")
    text = io.StringIO()
    out = Stream(text, color=False, ascii_only=False, width=width)
    out.is_terminal = True
    _show_verdicts(Printer(out, out), [item])
    assert text.getvalue().splitlines()[1:3] == shown
