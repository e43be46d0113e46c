"""A disk that fills up in the middle of a run, at each time at another write.

However it comes: nothing is lost, nothing fails that would not have failed, nothing is paid for twice. The run holds until
there is room, or ends with one clear message; once there is room, it comes to the very same end.
"""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from orchestrate.core import events as ev
from orchestrate.store.log import SqliteEventLog
from tests.e2e.project import COMMAND, Project

from .disk import Disk, clean_environment, mounted, why_no_disk

pytestmark = pytest.mark.skipif(bool(why_no_disk()), reason=why_no_disk())

POINTS = 40
ROOMY = 64 * 2**20
"""Bytes; too few for the ballast, which is shown elsewhere."""

TEXT = "".join(f"line {number} of something that takes room on a disk\n" for number in range(600))

FEATURES = [
    {"id": "base", "prompt": "x", "verify": ["test -s base.txt"]},
    {"id": "more", "prompt": "x", "depends_on": ["base"], "verify": ["grep -q right more.txt"]},
]
SCRIPT: dict[str, Any] = {
    "base": [
        [
            {"write": {"path": "base.txt", "text": TEXT}},
            {"commit": "Begin"},
            {"write": {"path": "lib/base.txt", "text": TEXT}},
            {"say": TEXT},
        ]
    ],
    "more": [
        [{"write": {"path": "more.txt", "text": f"wrong\n{TEXT}"}}],
        [{"write": {"path": "more.txt", "text": f"right\n{TEXT}"}}],
    ],
}


@dataclass
class Run:
    """What was seen of a run, over all its engines."""

    code: int | None = None
    events: list[dict[str, Any]] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    def has(self, kind: str, **fields: object) -> bool:
        return any(e["kind"] == kind and all(e.get(k) == v for k, v in fields.items()) for e in self.events)

    @property
    def words(self) -> str:
        return "".join(self.said)

    def __str__(self) -> str:
        kinds = [
            f"{e['kind']}({e.get('feature', '')} {e.get('end', '')}{e.get('outcome', '')}{e.get('why', '')[:160]})"
            for e in self.events
        ]
        return "\n".join([f"exit code {self.code}", *kinds, *self.said])


class Shop:
    """A project on a disk of its own."""

    def __init__(self, disk: Disk, template: Path, home: Path) -> None:
        self.disk, self.root = disk, disk.path / "project"
        disk.run("cp", "-a", template, self.root)
        self.env = clean_environment(home, ORCHESTRATE_DISK__LOW_MB="0")
        self.run_ = Run()

    def git(self, *args: str) -> str:
        return self.disk.run("git", *args, cwd=self.root, env=self.env).stdout.strip()

    def drives(self, *args: str, grow: bool = True) -> int:
        """Run a command that drives the run, to its end. grow: make room once it is held for want of it."""
        child = subprocess.Popen(
            self.disk.entering(COMMAND, *args, "--json", cwd=self.root), env=self.env, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        assert child.stdout is not None and child.stderr is not None
        for line in child.stdout:
            parsed = json.loads(line) if line.startswith('{"') else {}
            if "kind" not in parsed:
                self.run_.said.append(line)  # of a refusal
            else:
                event = {**parsed.pop("body", {}), **parsed}
                self.run_.events.append(event)
                if grow and event["kind"] == "PauseRequested":
                    self.disk.resize(ROOMY)
        self.run_.said.append(child.stderr.read())
        self.run_.code = child.wait(timeout=60)
        child.stderr.close()
        child.stdout.close()
        return self.run_.code

    def asks(self, *args: str) -> subprocess.CompletedProcess[str]:
        return self.disk.run(COMMAND, *args, cwd=self.root, env=self.env, check=False)

    def recorded(self) -> list[ev.Event]:
        """The newest run's log, brought to where it can be read."""
        place = self.disk.path.parent / f"{self.disk.path.name}-log"
        place.mkdir()
        self.disk.run("sh", "-c", 'cp .git/orchestrate/log.sqlite3* "$0"', place, cwd=self.root)
        with SqliteEventLog(place / "log.sqlite3", read_only=True) as log:
            return [stored.event for stored in log.read(log.runs()[-1])]

    def tree(self) -> str:
        """Of the newest integration branch: all files with their contents."""
        branch = self.git("for-each-ref", "--format=%(refname)", "refs/heads/orch/*/integration").splitlines()[-1]
        return self.git("ls-tree", "-r", branch)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    project = Project(tmp_path_factory.mktemp("template"))
    project.arrange(FEATURES, script=SCRIPT, max_attempts=2, max_reworks=1)
    return project.root


@pytest.fixture(scope="module")
def undisturbed(template: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, int]:
    """The tree that comes of it, and the room that it takes."""
    place = tmp_path_factory.mktemp("undisturbed")
    with mounted(place, ROOMY) as disk:
        shop = Shop(disk, template, template.parent / "home")
        before = disk.used()
        assert shop.drives("run", "--yes") == 0, shop.run_
        return shop.tree(), disk.used() - before


@pytest.mark.parametrize("point", range(POINTS))
def test_the_disk_fills_up(point: int, template: Path, undisturbed: tuple[str, int], tmp_path: Path) -> None:
    tree, takes = undisturbed
    with mounted(tmp_path, ROOMY) as disk:
        shop = Shop(disk, template, template.parent / "home")
        before = shop.git("for-each-ref")
        disk.leave_free(takes * point // POINTS)
        code = shop.drives("run", "--yes")
        run = shop.run_
        assert code in (0, 1, 2), str(run)
        assert "defect of orchestrate" not in run.words and "Traceback" not in run.words, str(run)
        if code:
            assert "space" in run.words or run.has("RunEnded"), str(run)
            assert shop.asks("status").returncode in (0, 2)
        assert "error" not in shop.disk.run("git", "fsck", "--full", cwd=shop.root, env=shop.env).stderr
        disk.resize(ROOMY)
        if code:
            began = run.has("RunStarted") or "nothing has been run" not in shop.asks("status").stderr
            assert shop.drives(*(("resume",) if began else ("run", "--yes"))) == 0, str(run)
        assert shop.tree() == tree
        assert before in shop.git("for-each-ref")
        recorded = shop.recorded()
        finished = [e for e in recorded if isinstance(e, ev.InvocationFinished) and e.end == "done"]
        # Cut off in its first play, the scripted agent goes on with its second, which passes at once.
        paid = Counter((e.feature, e.attempt) for e in finished)
        assert sorted(feature for feature, _ in paid) == ["base", "more"], "one attempt each" + str(run)
        assert sorted(paid.values()) in ([1, 1], [1, 2]), str(run)
        assert not [e for e in recorded if isinstance(e, ev.AttemptEnded) and e.outcome == "failed"], str(run)
        assert shop.git("fsck", "--full", "--no-dangling") == ""
