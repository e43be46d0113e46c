"""Real runs that were cut off and then damaged: they go on to the same end, or are refused with a way out; no commit and no
uncommitted byte that was there before is out of reach afterwards."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from orchestrate.app.order import Order
from orchestrate.app.planning import make_plan
from orchestrate.app.running import Ran, run_order
from orchestrate.core import events as ev
from orchestrate.core.names import AttemptKey, attempt_branch, checkpoint_ref, integration_branch
from orchestrate.errors import OrchestrateError
from orchestrate.git.scene import CannotGoOn
from orchestrate.spec.load import load_project
from orchestrate.store.artifacts import StateDir
from orchestrate.store.log import SqliteEventLog
from tests.support.repos import Repo, frozen_environ

from .test_running import follow

LIST = {
    "project": {"name": "Calculator", "agent": "scripted", "retry_backoff_seconds": 0, "max_parallel": 1,
                "verify": ["test -f README.md"], "setup": ["touch installed"]},
    "scripted": {"script": "config/script.json"},
    "features": [
        {"id": "sub", "prompt": "Subtract."},
        {"id": "div", "prompt": "Divide.", "depends_on": ["sub"]},
        {"id": "mul", "prompt": "Multiply.", "depends_on": ["div"]},
    ],
}  # fmt: skip
SCRIPT = {
    "features": {
        "*": [[{"write": {"path": "@FEATURE@.txt", "text": "@FEATURE@\n"}}]],
        "mul": [
            [{"write": {"path": "first.txt", "text": "1\n"}}, {"commit": "First half"},
             {"write": {"path": "mul.txt", "text": "mul\n"}}],
        ],
    }
}  # fmt: skip
UNCOMMITTED = "nobody has committed this\n"


@dataclass
class CutOff:
    """A run whose engine died with feature mul in the making. admin: the entry of its worktree."""

    repo: Repo
    order: Order
    run: str
    base: str
    """Commit that mul started from."""

    @property
    def key(self) -> AttemptKey:
        return AttemptKey(self.run, "mul", 1)

    @property
    def path(self) -> Path:
        return self.repo.path.parent / "calc.worktrees" / self.run / "mul.1"

    @property
    def admin(self) -> Path:
        return self.repo.path / ".git" / "worktrees" / "mul.1"

    @property
    def branch(self) -> str:
        return f"refs/heads/{attempt_branch(self.key)}"

    @property
    def integration(self) -> str:
        return f"refs/heads/{integration_branch(self.run)}"

    def go_on(self) -> Ran:
        return run_order(replace(self.order, resume=self.run), follow)

    def events(self) -> list[ev.Event]:
        with SqliteEventLog(StateDir(self.repo.path / ".git").log) as log:
            return [stored.event for stored in log.read(self.run)]


def load_order(path: Path) -> Order:
    environ = frozen_environ()
    loaded = load_project(start=path, config=None, environ=environ, flags={})
    planned = make_plan(loaded, environ=environ)
    return Order(loaded, planned.repository, planned.plan, planned.base, "digest", environ)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, str]:
    """A finished run, and a copy of it; its id. Paths in it hold, so every test gets it in the same place."""
    top = tmp_path_factory.mktemp("cut")
    files = {"config/feature_list.json": json.dumps(LIST), "config/script.json": json.dumps(SCRIPT), "README.md": "#\n"}
    repo = Repo.make(top / "here" / "calc", files)
    ran = run_order(load_order(repo.path), follow)
    assert ran.status == "done"
    shutil.copytree(top / "here", top / "copy", symlinks=True)
    return top / "here", top / "copy", ran.run


CUTS = {
    "working": ev.InvocationStarted,
    "sealed": ev.WorkSealed,
    "verified": ev.AttemptVerified,
    "publishing": ev.PublishStarted,
}


def cut_off(template: tuple[Path, Path, str], at: str) -> CutOff:
    """The run as it stood when the engine died right after this event of mul's."""
    here, copy, run = template
    shutil.rmtree(here)
    shutil.copytree(copy, here, symlinks=True)
    repo = Repo(here / "calc", 100)
    state = StateDir(repo.path / ".git")
    with SqliteEventLog(state.log) as log:
        events = [stored.event for stored in log.read(run)]
    end = next(n for n, e in enumerate(events) if isinstance(e, CUTS[at]) and e.feature == "mul")
    for file in state.root.glob("log.sqlite3*"):
        file.unlink()
    with SqliteEventLog(state.log) as log:
        log.append(run, events[: end + 1])
    base = next(e.base for e in events if isinstance(e, ev.WorktreePrepared) and e.feature == "mul")
    cut = CutOff(repo, load_order(repo.path), run, base)
    merged = [e.commit for e in events[:end] if isinstance(e, ev.Published)]
    if at != "publishing":  # there, git has the merge already, and the log has not
        repo.git("update-ref", cut.integration, merged[-1])
    if at == "working":
        repo.git("reset", "--quiet", "HEAD~1", cwd=cut.path)
        (cut.path / "note.txt").write_text(UNCOMMITTED)
        spoken = state.attempt_dir(cut.key) / "agent-1.jsonl"
        spoken.write_bytes(b"".join(spoken.read_bytes().splitlines(keepends=True)[:1]))
        repo.git("update-ref", checkpoint_ref(cut.key), saved_state(cut))
    return cut


def saved_state(cut: CutOff) -> str:
    """A checkpoint of the worktree, as the dead engine made it."""
    git, head = cut.repo.git, cut.repo.head(cut.path)
    git("add", "-A", "--", ":/", ":(exclude)installed", cwd=cut.path)
    tree = git("write-tree", cwd=cut.path)
    git("reset", "--quiet", cwd=cut.path)
    return git("commit-tree", tree, "-p", head, "-m", f"Checkpoint of {cut.key}\n\nOrchestrate-Head: {head}")


def reachable(cut: CutOff) -> set[str]:
    """Every commit that a ref or the HEAD of mul's worktree holds. What merges are checked in may forget old proposals."""
    found = cut.repo.git("rev-list", "--single-worktree", "--all", "--ignore-missing", ok=False)
    here = cut.repo.git("rev-list", "HEAD", cwd=cut.path, ok=False) if (cut.path / ".git").exists() else ""
    return {*found.split(), *here.split()}


def holds_text(repo: Repo, text: str) -> bool:
    """Whether some commit that a ref holds, or a file in a worktree, has this text."""
    in_files = any(
        file.is_file() and file.read_bytes() == text.encode()
        for file in (repo.path.parent / "calc.worktrees").rglob("note.txt")
    )
    listed = repo.git("rev-list", "--all", "--objects", "--ignore-missing", ok=False).splitlines()
    return in_files or any(line.endswith(" note.txt") for line in listed)


def assert_integrated(cut: CutOff) -> None:
    files = cut.repo.files(cut.integration)
    assert {"sub.txt", "div.txt", "mul.txt", "first.txt"} <= files.keys() and "installed" not in files
    merges = cut.repo.git("log", "--first-parent", "--merges", "--format=%(trailers:key=Orchestrate-Attempt,valueonly)",
                          cut.integration).split()  # fmt: skip
    assert [merge.split("/")[1] for merge in merges] == ["mul", "div", "sub"]
    assert cut.repo.git("fsck", "--connectivity-only", "--no-dangling") == ""
    assert list((cut.repo.path / ".git").rglob("orchestrate-index-*")) == []


# ── damage ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _move_branch(cut: CutOff, onto: str, text: str) -> None:
    cut.repo.git("update-ref", cut.branch, cut.repo.side_commit(onto, {"other.txt": text}), ok=False)


def _half_made(cut: CutOff) -> None:
    cut.repo.git("worktree", "add", "-q", "--no-checkout", "--detach", str(cut.path.with_name("div.2")))
    (cut.admin.with_name("div.2") / "locked").write_text("initializing")


def _remove(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def _write(path: Path, content: bytes = b"") -> None:
    if path.parent.is_dir():
        path.write_bytes(content)


def _ahead(cut: CutOff) -> None:
    tip = cut.repo.tip(cut.integration) or cut.base
    cut.repo.git("update-ref", cut.integration, cut.repo.side_commit(tip, {"mine.txt": "mine\n"}))


DAMAGE: dict[str, Callable[[CutOff], object]] = {
    "worktree gone": lambda cut: _remove(cut.path),
    "entry gone": lambda cut: _remove(cut.admin),
    "entry garbage": lambda cut: _write(cut.admin / "HEAD", b"\0garbage"),
    "git file gone": lambda cut: _remove(cut.path / ".git"),
    "index gone": lambda cut: _remove(cut.admin / "index"),
    "index garbage": lambda cut: _write(cut.admin / "index", b"garbage"),
    "locks left": lambda cut: [_write(cut.admin / name) for name in ("index.lock", "HEAD.lock", "orchestrate-index-1")],
    "lock of a ref": lambda cut: _write(cut.repo.path / ".git" / f"{cut.branch}.lock"),
    "half made entry": _half_made,
    "worktree moved": lambda cut: cut.repo.git(
        "worktree", "move", str(cut.path), str(cut.repo.path.parent / "moved"), ok=False
    ),
    "pruned": lambda cut: cut.repo.git("worktree", "prune"),
    "branch gone": lambda cut: cut.repo.git("update-ref", "-d", cut.branch, ok=False),
    "branch elsewhere": lambda cut: _move_branch(cut, f"{cut.base}^", "elsewhere\n"),
    "branch ahead": lambda cut: _move_branch(cut, cut.repo.tip(cut.branch) or cut.base, "ahead\n"),
    "private ref gone": lambda cut: cut.repo.git("update-ref", "-d", checkpoint_ref(cut.key)),
    "integration gone": lambda cut: cut.repo.git("update-ref", "-d", cut.integration),
    "integration back": lambda cut: cut.repo.git("update-ref", cut.integration, cut.order.base.commit),
    "integration ahead": _ahead,
    "integration elsewhere": lambda cut: cut.repo.git(
        "update-ref", cut.integration, cut.repo.side_commit(cut.order.base.commit, {"mine.txt": "mine\n"})
    ),
}


@pytest.mark.parametrize("at", CUTS)
def test_cut_off_it_goes_on_to_the_same_end(template: tuple[Path, Path, str], at: str) -> None:
    cut = cut_off(template, at)
    assert cut.go_on().status == "done"
    assert_integrated(cut)
    assert not [e for e in cut.events() if isinstance(e, ev.Warned) and "(R" in e.message]
    assert cut.repo.files(cut.integration).get("note.txt") == (UNCOMMITTED.rstrip() if at == "working" else None)


@pytest.mark.parametrize("seed", range(15))
def test_cut_off_and_damaged_nothing_is_lost(template: tuple[Path, Path, str], seed: int) -> None:
    chosen = random.Random(seed)
    cut = cut_off(template, chosen.choice(list(CUTS)))
    damage = chosen.sample(list(DAMAGE), chosen.randint(1, 3))
    for name in damage:
        DAMAGE[name](cut)
    before, noted, refs = reachable(cut), holds_text(cut.repo, UNCOMMITTED), cut.repo.git("for-each-ref")
    try:
        ran = cut.go_on()
    except CannotGoOn:
        assert "integration elsewhere" in damage, damage
        assert cut.repo.git("for-each-ref") == refs
        return
    assert ran.status == "done", (damage, [e for e in cut.events() if isinstance(e, ev.Warned | ev.AttemptEnded)])
    assert_integrated(cut)
    assert before <= reachable(cut), damage
    assert holds_text(cut.repo, UNCOMMITTED) >= noted, damage


def test_where_nothing_is_left_another_attempt_does_it(template: tuple[Path, Path, str]) -> None:
    cut = cut_off(template, "working")
    for name in ("worktree gone", "pruned", "branch gone", "private ref gone"):
        DAMAGE[name](cut)
    assert cut.go_on().status == "done"
    assert_integrated(cut)
    ends = [(e.attempt, e.outcome) for e in cut.events() if isinstance(e, ev.AttemptEnded) and e.feature == "mul"]
    assert ends == [(1, "interrupted"), (2, "integrated")]


def test_what_is_mended_first_is_the_new_engines_doing_and_settled(template: tuple[Path, Path, str]) -> None:
    """A lock that may be somebody's is left, and told after that."""
    cut = cut_off(template, "working")
    DAMAGE["worktree gone"](cut)
    lock = cut.repo.path / ".git" / "shallow.lock"
    lock.touch()
    assert cut.go_on().status == "done"
    events = cut.events()
    start = max(n for n, e in enumerate(events) if isinstance(e, ev.EngineStarted))
    told = [(n, e) for n, e in enumerate(events) if isinstance(e, ev.Warned) and "setup leaves" not in e.message]
    assert [(n < start, e.at >= events[start].at) for n, e in told] == [(True, True), (False, True)]
    assert told[0][1].message.startswith("its worktree was gone; made again at ") and "(R" not in told[0][1].message
    assert told[1][1].message.endswith(f"If no git is at work here: rm {lock}")


def test_what_a_person_mends_in_a_stopped_run_is_what_is_checked_and_merged(template: tuple[Path, Path, str]) -> None:
    cut = cut_off(template, "sealed")
    (cut.path / "mul.txt").write_text("mended by hand\n")
    assert cut.go_on().status == "done"
    assert cut.repo.files(cut.integration)["mul.txt"] == "mended by hand"
    assert any(isinstance(e, ev.Warned) and "what is there now counts" in e.message for e in cut.events())


def test_a_run_that_was_refused_goes_on_once_that_is_settled(template: tuple[Path, Path, str]) -> None:
    cut = cut_off(template, "verified")
    head = cut.repo.tip(cut.integration)
    DAMAGE["integration elsewhere"](cut)
    before = cut.events()
    with pytest.raises(OrchestrateError, match="lacks what was integrated"):
        cut.go_on()
    assert cut.events() == before
    cut.repo.git("update-ref", cut.integration, head)
    assert cut.go_on().status == "done"
    assert_integrated(cut)
