"""What a feature changed, from git: sealed work, work under way, and work saved when an attempt was broken off."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrate.core import events as ev
from orchestrate.core.names import AttemptKey, attempt_branch, checkpoint_ref
from tests.support.logs import RUN, a_plan
from tests.support.statedir import Recording

KEY = AttemptKey(RUN, "api", 1)
PLAN = a_plan(("api",), ("ui", "api"))


class Attempt:
    """An attempt at `api` in a real worktree, recorded as far as its preparation."""

    def __init__(self, recording: Recording) -> None:
        self.recording, repo = recording, recording.repo
        self.base = repo.head()
        self.path = repo.path.parent / "api.1"
        repo.git("worktree", "add", "-q", "-b", attempt_branch(KEY), str(self.path))
        self.tell(
            ev.RunStarted(1.0, RUN, "shop", self.base, "main", f"orch/{RUN}/integration", ""),
            ev.EngineStarted(1.0, 1),
            ev.AttemptStarted(2.0, "api", 1, 1, (self.base,)),
            ev.WorktreePrepared(3.0, "api", 1, self.base, attempt_branch(KEY), str(self.path)),
        )

    def tell(self, *events: ev.Event) -> None:
        self.recording.store(PLAN, events)

    def commit(self, **files: str) -> str:
        return self.recording.repo.commit("work", {f"{name}.py": text for name, text in files.items()}, self.path)

    def seal(self, head: str) -> None:
        self.tell(ev.SealStarted(4.0, "api", 1, 2), ev.WorkSealed(5.0, "api", 1, head, "t", changed=1))

    def end(self, outcome: ev.Outcome = "failed") -> None:
        self.tell(ev.AttemptEnded(6.0, "api", 1, 3, outcome))


@pytest.fixture
def attempt(recording: Recording) -> Attempt:
    return Attempt(recording)


def test_a_patch_that_git_can_apply(attempt: Attempt, tmp_path: Path) -> None:
    attempt.seal(attempt.commit(new="print('\x1b[31mred')\n"))
    attempt.end()
    answer = attempt.recording.ask("diff", "api")
    assert "+print('\x1b[31mred')" in answer.out
    patch = tmp_path / "api.patch"
    patch.write_bytes(answer.raw)
    attempt.recording.repo.git("apply", str(patch))
    assert (attempt.recording.repo.path / "new.py").exists()


def test_on_a_terminal_it_is_harmless_and_coloured(attempt: Attempt) -> None:
    attempt.seal(attempt.commit(new="\x1b]0;owned\x07x\n"))
    attempt.end()
    out = attempt.recording.ask("--color", "always", "diff", "api").out
    assert "\x1b[32m+x\x1b[0m" in out
    assert "\x1b]" not in out


def test_only_the_figures(attempt: Attempt) -> None:
    attempt.seal(attempt.commit(new="1\n"))
    out = attempt.recording.ask("diff", "api", "--stat").out
    assert "new.py | 1 +" in out
    assert "@@" not in out


def test_work_under_way_is_shown_as_far_as_it_is_committed(attempt: Attempt) -> None:
    attempt.commit(one="1\n")
    (attempt.path / "two.py").write_text("2\n")
    answer = attempt.recording.ask("diff", "api")
    assert "one.py" in answer.out
    assert "two.py" not in answer.out
    assert f"not shown: 1 file in {attempt.path}" in answer.err


def test_what_was_saved_of_an_attempt_that_was_broken_off(attempt: Attempt) -> None:
    saved = attempt.commit(one="1\n")
    attempt.recording.repo.git("update-ref", checkpoint_ref(KEY), saved)
    attempt.recording.repo.git("update-ref", f"refs/heads/{attempt_branch(KEY)}", attempt.base)
    attempt.end("interrupted")
    assert "one.py" in attempt.recording.ask("diff", "api").out


def test_nothing_was_changed(attempt: Attempt) -> None:
    answer = attempt.recording.ask("diff", "api")
    assert (answer.code, answer.raw) == (0, b"")
    assert "has changed nothing that is committed" in answer.err


def test_a_feature_without_a_worktree(attempt: Attempt) -> None:
    answer = attempt.recording.ask("diff", "ui")
    assert answer.code == 2
    assert "feature ui has no worktree in this run" in answer.err
