"""What must hold once a run that was disturbed has come to its end, asked of git, of the disk and of the processes.

Each question yields what is wrong, in words; nothing at all is the answer wanted.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import psutil

from orchestrate.cli import main
from orchestrate.core import events as ev
from orchestrate.core.names import TRAILER, integration_branch
from orchestrate.store.artifacts import StateDir
from orchestrate.store.log import SqliteEventLog
from tests.e2e.project import Project
from tests.torture.plans import NOTE, NOTES, Plan, load_ledger

E = TypeVar("E", bound=ev.Event)


@dataclass
class Oracle:
    """mark: on the command line of processes that nothing else tells of; empty: there are none."""

    project: Project
    plan: Plan
    mark: str = ""
    run: str = field(init=False, default="")
    events: list[ev.Event] = field(init=False, default_factory=list)

    def faults(self) -> list[str]:
        """Everything that is wrong with the repository's only run, which is said to be done."""
        self.state = StateDir(self.project.root / ".git")
        with SqliteEventLog(self.state.log, read_only=True) as log:
            runs = log.runs()
            if len(runs) != 1:
                return [f"there are {len(runs)} runs: {runs}"]
            self.run = runs[0]
            if integration_branch(self.run) not in self.project.branches():
                return ["the integration branch is gone"]
            self.events = [stored.event for stored in log.read(self.run)]
        return [
            *self._result(),
            *self._merges(),
            *self._invocations(),
            *self._money(),
            *self._sessions(),
            *self._notes(),
            *self._processes(),
            *self._leftovers(),
            *self._commands(),
            *self._checkout(),
        ]

    # ── the result ───────────────────────────────────────────────────────────────────────────────────────────────

    def _result(self) -> Iterator[str]:
        branch = integration_branch(self.run)
        listed = self.project.git("ls-tree", "-r", "--format=%(path) %(objectname)", branch).splitlines()
        base = self.project.git("ls-tree", "-r", "--format=%(path) %(objectname)", "main").splitlines()
        made = {line for line in listed if not line.startswith(NOTES)} - {*base}
        wanted = {f"{path} {blob_id(text)}" for path, text in self.plan.files.items()}
        if made != wanted:
            yield f"the tree is not that of an undisturbed run: {sorted(made ^ wanted)}"

    def _merges(self) -> Iterator[str]:
        form = f"--format=%(trailers:key={TRAILER},valueonly,separator=%x2C)"
        args = ("--first-parent", "--merges", form, f"main..{integration_branch(self.run)}")
        merged = Counter(line.split("/")[1] for line in self.project.git("log", *args).splitlines())
        wanted = Counter(feature["id"] for feature in self.plan.features)
        if merged != wanted:
            yield f"merges by feature: {dict(merged)}"

    # ── what was paid for ────────────────────────────────────────────────────────────────────────────────────────

    def _invocations(self) -> Iterator[str]:
        """An agent was started for what the log says, never twice for the same, and each has one end."""
        started = Counter((e.feature, e.attempt, e.invocation) for e in self._of(ev.InvocationStarted))
        finished = Counter((e.feature, e.attempt, e.invocation) for e in self._of(ev.InvocationFinished))
        if started != finished or any(times > 1 for times in started.values()):
            yield f"invocations that were started {dict(started)} and that ended {dict(finished)}"
        did = Counter((d.word, (d.feature, d.attempt, d.invocation)) for d in load_ledger(self.project.home))
        if doubled := [key for key, times in did.items() if times > 1]:
            yield f"done twice: {doubled}"
        if unknown := [key for _, key in did if key not in started]:
            yield f"agents were at work of which the log knows nothing: {unknown}"
        good = Counter((e.feature, e.attempt) for e in self._of(ev.InvocationFinished) if e.end == "done")
        plays = {name: len(plays) for name, plays in self.plan.script.items()}
        for (feature, attempt), times in good.items():
            if times > plays[feature]:
                yield f"{feature}/{attempt} was brought to its end {times} times; {plays[feature]} would have done"

    def _money(self) -> Iterator[str]:
        """What each agent said it cost is in the log, and the sum of that is in the report."""
        for event in self._of(ev.InvocationFinished):
            attempt = self.state.artifacts(self.run) / event.feature / str(event.attempt)
            told = attempt / f"agent-{event.invocation}.jsonl"
            cost, turns = spent(told)
            if cost is not None and abs(cost - event.cost_usd) > 1e-9:
                yield f"{told.relative_to(self.state.root)} says {cost}, the log says {event.cost_usd}"
            if cost is None and bool(turns) != bool(event.tokens.total):
                yield f"{told.relative_to(self.state.root)} has {turns} turns, the log {event.tokens}"
        total = sum(e.cost_usd for e in self._of(ev.InvocationFinished))
        reported = json.loads(self.state.report_json(self.run).read_text())["totals"]["spent"]["cost_usd"]
        if abs(total - reported) > 1e-9:
            yield f"the report says {reported} were spent, the log {total}"

    def _sessions(self) -> Iterator[str]:
        """An agent that had begun is gone on with in its own session."""
        begun = {(d.feature, d.attempt, d.invocation) for d in load_ledger(self.project.home) if d.word == "begin"}
        before: dict[tuple[str, int], ev.InvocationStarted] = {}
        for event in self._of(ev.InvocationStarted):
            last = before.get((event.feature, event.attempt))
            before[event.feature, event.attempt] = event
            if last is None or (last.feature, last.attempt, last.invocation) not in begun:
                continue
            if not event.resume or event.session != last.session:
                yield f"{event.feature}/{event.attempt}: invocation {event.invocation} begins a session of its own"

    # ── what agents wrote ────────────────────────────────────────────────────────────────────────────────────────

    def _notes(self) -> Iterator[str]:
        """Every note is in a commit that a ref holds, or lies in a worktree."""
        held = {line.split(" ")[0] for line in self.project.git("rev-list", "--objects", "--all").splitlines()}
        lying = {file.read_text() for tree in self.project.worktrees() for file in Path(tree, NOTES).glob("*.txt")}
        for did in load_ledger(self.project.home):
            text = f"{did.feature} {did.attempt} {did.invocation}\n"
            if did.word == "wrote" and blob_id(text) not in held and text not in lying:
                yield f"lost: the note of {NOTE} = {text.strip()}"

    # ── what is left ─────────────────────────────────────────────────────────────────────────────────────────────

    def _processes(self) -> Iterator[str]:
        yield from (f"alive: {process}" for process in living(self.project, self.mark))

    def _leftovers(self) -> Iterator[str]:
        git_dir = self.project.root / ".git"
        for path in git_dir.rglob("*"):
            inside = path.relative_to(git_dir)
            is_lock = path.suffix == ".lock" and inside.parts[0] != "orchestrate"
            if is_lock or _TEMPORARY.match(path.name):
                yield f"left behind: {inside}"
        listed = self.project.git("worktree", "list", "--porcelain")
        if "prunable" in listed or "locked" in listed:
            yield f"a worktree is broken: {listed}"
        if damage := self.project.git("fsck", "--full", "--no-dangling", "--no-progress"):
            yield f"git fsck: {damage}"

    def _commands(self) -> Iterator[str]:
        """Commands that read work, and going on again does nothing."""
        status = said(self.project, "status", "--json")
        if status[0] != 0 or json.loads(status[1])["status"] != "done":
            yield f"status: {status}"
        report = said(self.project, "report", "--json")
        if report[0] != 0 or json.loads(report[1])["run"]["status"] != "done":
            yield f"report: {report[0]}"
        for feature in self.plan.features:
            if (code := said(self.project, "logs", feature["id"])[0]) != 0:
                yield f"logs {feature['id']}: exit code {code}"
        refs = self.project.git("for-each-ref")
        code, words = said(self.project, "run", "--resume", "--yes")
        if code != 2 or refs != self.project.git("for-each-ref") or len(self.events) != self._length():
            yield f"going on once more was not without effect: {code} {words}"

    def _checkout(self) -> Iterator[str]:
        if self.project.sacred() != self.project.before:
            yield "the user's checkout has changed"

    # ── looking ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _of(self, kind: type[E]) -> Iterator[E]:
        return (event for event in self.events if isinstance(event, kind))

    def _length(self) -> int:
        with SqliteEventLog(self.state.log, read_only=True) as log:
            return len(log.read(self.run))


_TEMPORARY = re.compile(r"orchestrate-index-.*|\.(report|plan|log)\b.*")
"""Names of files that exist for a moment only."""


def blob_id(text: str) -> str:
    """Git's name for a file of that content."""
    content = text.encode()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def spent(output: Path) -> tuple[float | None, int]:
    """What an agent said that it cost, US dollars, None if it did not come to that; and turns of the model in its output."""
    cost, turns = None, 0
    for line in output.read_bytes().splitlines() if output.exists() else ():
        with contextlib.suppress(ValueError):  # the last line may be half of one
            said_line = json.loads(line)
            turns += said_line["type"] == "assistant"
            if said_line["type"] == "result":
                cost = (cost or 0.0) + said_line["total_cost_usd"]
    return cost, turns


def living(project: Project, mark: str = "") -> list[str]:
    """Processes that anything here has left: by their HOME, by where they work, by the mark on their command line."""
    found = {process.pid: process for process in project.processes()}
    for process in psutil.process_iter() if mark else ():
        with contextlib.suppress(psutil.Error):
            if mark in process.cmdline() and process.status() != psutil.STATUS_ZOMBIE:
                found[process.pid] = process
    words = []
    for process in found.values():
        with contextlib.suppress(psutil.Error):
            words.append(f"{process.pid} {' '.join(process.cmdline())}")
    return words


def status_of(project: Project) -> str:
    """As `status` says it, empty before there is a run; `died` for one that is done, but whose report does not say so."""
    code, words = said(project, "status", "--json")
    status = str(json.loads(words)["status"]) if code == 0 else ""
    if status != "done":
        return status
    reports = (project.root / ".git" / "orchestrate" / "runs").glob("*/report.json")
    return status if any(json.loads(file.read_text())["run"]["status"] == "done" for file in reports) else "died"


def said(project: Project, *arguments: str) -> tuple[int, str]:
    """A command that only reads, in this process: exit code and what it printed."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        code = main(["-C", str(project.root), *arguments])
    return code, out.getvalue()
