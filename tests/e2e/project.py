"""A throw-away repository and the installed `orchestrate` in it, as a user has them.

The checkout is deliberately untidy (staged, modified, untracked and ignored files): no run may change a byte of it.
"""

from __future__ import annotations

import hashlib
import json
import os
import queue
import select
import shutil
import signal
import subprocess
import sys
import sysconfig
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

Json = dict[str, Any]

COMMAND = Path(sysconfig.get_path("scripts")) / "orchestrate"
"""As `pip install` puts it there."""

RUN = ("run", "--yes", "--json")

FEATURE_LIST = "config/feature_list.json"

PATIENCE_S = 60.0
"""For anything that must happen; nothing here takes a tenth of it."""


@dataclass(frozen=True)
class Ended:
    """A command that is over."""

    code: int
    stdout: str
    stderr: str

    @property
    def lines(self) -> list[Json]:
        """stdout as JSON lines; fails if anything else is in it."""
        return [_parse(line) for line in self.stdout.splitlines()]

    @property
    def document(self) -> Json:
        """stdout as one JSON document."""
        document: Json = json.loads(self.stdout)
        return document

    def of(self, kind: str, **fields: object) -> list[Json]:
        """The events of that kind with these fields, in order."""
        return [line for line in self.lines if _is(line, kind, fields)]

    @property
    def outcomes(self) -> dict[str, str]:
        """How each feature's last attempt ended, or that it was skipped."""
        last = {event["feature"]: event["outcome"] for event in self.of("AttemptEnded")}
        return last | {event["feature"]: "skipped" for event in self.of("FeatureSkipped")}

    @property
    def integration_branch(self) -> str:
        return str(self.of("RunStarted")[0]["integration_branch"])

    def __str__(self) -> str:
        return f"exit code {self.code}\n--- stdout\n{self.stdout[-6000:]}\n--- stderr\n{self.stderr[-3000:]}"


@dataclass(frozen=True)
class Sacred:
    """Everything of the user's that a run must not touch."""

    files: Mapping[str, str]
    index: str
    config: str
    head: str
    refs: str
    status: str


@dataclass(frozen=True)
class Gate:
    """stop: steps of a script that come here and wait, unless it is open."""

    path: Path

    @property
    def stop(self) -> list[Json]:
        return [{"run": f"test -e {self.path}.open || echo > {self.path}"}, {"wait_for": f"{self.path}.open"}]

    def reached(self) -> None:
        """Wait until an agent is here. Fails after PATIENCE_S."""
        fifo = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK)
        try:
            assert select.select([fifo], [], [], PATIENCE_S)[0], f"nobody came to {self.path}"
        finally:
            os.close(fifo)

    def open(self) -> None:
        Path(f"{self.path}.open").touch()


class Project:
    """root: the user's checkout. Features and script are written by `arrange`, which also makes the first commit."""

    def __init__(self, directory: Path) -> None:
        self.root = directory / "project"
        self.home = directory / "home"
        self.root.mkdir()
        self.home.mkdir()
        (self.home / ".gitconfig").write_text("[user]\n\tname = Ada\n\temail = ada@example.com\n")
        self.env = {"PATH": os.environ["PATH"], "HOME": str(self.home), "LC_ALL": "C.UTF-8", "TZ": "UTC"}

    def arrange(
        self,
        features: Sequence[Mapping[str, Any]],
        *,
        script: Json | None = None,
        files: Mapping[str, str] | None = None,
        **settings: object,
    ) -> None:
        """Write the feature list (and the script of the scripted agent), commit them, leave the checkout untidy."""
        self.git("init", "-q", "-b", "main")
        settings = {"max_parallel": 2, "retry_backoff_seconds": 0, **settings}
        if script is not None:
            settings |= {"agent": "scripted", "scripted": {"script": "config/script.json"}}
            self.write("config/script.json", json.dumps({"features": script}))
        self.write(FEATURE_LIST, json.dumps({"project": settings, "features": list(features)}))
        base = {".gitignore": "__pycache__/\n*.log\n", "tidy.txt": "as committed\n", "staged.txt": "as committed\n"}
        for path, text in {**base, **(files or {})}.items():
            self.write(path, text)
        self.git("add", "-A")
        self.git("commit", "-qm", "Where everything begins")
        self.write("staged.txt", "staged by the user\n")
        self.git("add", "staged.txt")
        self.write("tidy.txt", "modified by the user\n")
        self.write("untracked.txt", "the user's own\n")
        self.write("ignored.log", "the user's own\n")
        self.before = self.sacred()

    def rewrite_features(self, features: Sequence[Mapping[str, Any]]) -> None:
        """The user changes the feature list between two commands."""
        file = self.root / FEATURE_LIST
        self.write(FEATURE_LIST, json.dumps({**json.loads(file.read_text()), "features": list(features)}))
        self.before = self.sacred()

    def write(self, path: str, text: str) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    # ── commands ─────────────────────────────────────────────────────────────────────────────────────────────────

    def git(self, *args: str, cwd: Path | None = None) -> str:
        done = subprocess.run(
            ["git", *args], cwd=cwd or self.root, env=self.env, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"git {' '.join(args)}: {done.stderr}"
        return done.stdout.strip()

    def orchestrate(self, *args: str, stdout: int = subprocess.PIPE) -> Ended:
        """Run a command to its end, without a terminal. stdout: a descriptor to print to, instead of being read."""
        done = subprocess.run(
            [COMMAND, *args],
            cwd=self.root,
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        return Ended(done.returncode, done.stdout or "", done.stderr)

    def report(self) -> Json:
        """Of the newest run."""
        return self.orchestrate("report", "--json").document

    @contextmanager
    def running(self, *args: str) -> Iterator[Running]:
        """A command in the background, killed if it is still there when the block is left."""
        child = subprocess.Popen(
            [COMMAND, *args],
            cwd=self.root,
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        running = Running(child)
        try:
            yield running
        finally:
            if child.poll() is None:
                os.killpg(child.pid, signal.SIGKILL)
            running.ended()

    def gate(self, name: str) -> Gate:
        """A place at which a script stops until the test lets it go on."""
        os.mkfifo(self.home / name)
        return Gate(self.home / name)

    # ── what is there ────────────────────────────────────────────────────────────────────────────────────────────

    def sacred(self) -> Sacred:
        files = {}
        for path in sorted(self.root.rglob("*")):
            if path.is_file() and ".git" not in path.relative_to(self.root).parts:
                digest = hashlib.sha256(path.read_bytes()).hexdigest()
                files[str(path.relative_to(self.root))] = f"{path.stat().st_mode:o} {path.stat().st_mtime_ns} {digest}"
        git_dir = self.root / ".git"
        refs = self.git("for-each-ref", "--format=%(refname) %(objectname)").splitlines()
        return Sacred(
            files,
            index=hashlib.sha256((git_dir / "index").read_bytes()).hexdigest(),
            config=(git_dir / "config").read_text(),
            head=(git_dir / "HEAD").read_text(),
            refs="\n".join(ref for ref in refs if not ref.startswith(("refs/heads/orch/", "refs/orchestrate/"))),
            status=self.git("--no-optional-locks", "status", "--porcelain"),
        )

    def processes(self) -> list[psutil.Process]:
        """Living processes that anything started here has left: they all have this HOME, or work in this directory."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.status() == psutil.STATUS_ZOMBIE or process.pid == os.getpid():
                    continue
                near = process.environ().get("HOME") == str(self.home)
                if near or process.cwd().startswith(str(self.root.parent)):
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def lives(self, pid_file: Path) -> bool:
        """Whether the process that calls itself by the id in that file is alive: in a PID namespace it has two."""
        own = pid_file.read_text().strip()
        for process in psutil.process_iter():
            with suppress(OSError):
                status = dict(
                    line.split(":\t", 1) for line in Path(f"/proc/{process.pid}/status").read_text().splitlines()
                )
                if status["NSpid"].split()[-1] == own and not status["State"].startswith("Z"):
                    return True
        return False

    def branches(self) -> list[str]:
        """Short names of the branches that runs made."""
        return self.git("for-each-ref", "--format=%(refname:short)", "refs/heads/orch").splitlines()

    def worktrees(self) -> list[str]:
        """Directories of all worktrees but the user's own."""
        listed = self.git("worktree", "list", "--porcelain").splitlines()
        return [line.removeprefix("worktree ") for line in listed if line.startswith("worktree ")][1:]

    def log_of(self, revision: str) -> str:
        """Subjects of the commits after the base, newest first."""
        return self.git("log", "--format=%s", f"main..{revision}")

    @contextmanager
    def checked_out(self, revision: str) -> Iterator[Path]:
        """The files of a revision, in a directory that is no worktree."""
        directory = self.root.parent / "out"
        directory.mkdir()
        archive = subprocess.run(
            ["git", "archive", revision], cwd=self.root, env=self.env, stdout=subprocess.PIPE, check=True
        )
        subprocess.run(["tar", "-x"], cwd=directory, input=archive.stdout, check=True)
        try:
            yield directory
        finally:
            shutil.rmtree(directory)

    def python(self, code: str, cwd: Path) -> str:
        """Run a few lines of Python in a directory; returns what they print."""
        argv = [sys.executable, "-c", code]
        return subprocess.run(argv, cwd=cwd, env=self.env, capture_output=True, text=True, check=True).stdout.strip()


@dataclass
class Running:
    """A command in the background whose output is read as it comes."""

    child: subprocess.Popen[str]
    seen: list[Json] = field(default_factory=list)
    """Events so far, as far as somebody has waited for them."""

    def __post_init__(self) -> None:
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._stdout: list[str] = []
        self._stderr: list[str] = []
        self._readers = [threading.Thread(target=self._read_stdout), threading.Thread(target=self._read_stderr)]
        for reader in self._readers:
            reader.start()

    def wait_for(self, kind: str, **fields: object) -> Json:
        """The next event of that kind with these fields. Fails when the command ends first, or after PATIENCE_S."""
        until = time.monotonic() + PATIENCE_S
        while True:
            try:
                line = self._lines.get(timeout=max(0.0, until - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"no {kind} {fields} in {PATIENCE_S:g} s; seen: {self._kinds()}") from None
            if line is None:
                raise AssertionError(f"ended without {kind} {fields}\n{self.ended()}")
            event = _parse(line)
            self.seen.append(event)
            if _is(event, kind, fields):
                return event

    def _kinds(self) -> str:
        return ", ".join(f"{event['kind']}({event.get('feature', '')})" for event in self.seen)

    def signal(self, number: signal.Signals) -> None:
        """To the leader of the group alone, as `kill` does."""
        self.child.send_signal(number)

    def press_ctrl_c(self) -> None:
        """To the whole group of the foreground, as a terminal does."""
        os.killpg(self.child.pid, signal.SIGINT)

    def ended(self) -> Ended:
        """Wait for the end."""
        code = self.child.wait(timeout=PATIENCE_S)
        for reader in self._readers:
            reader.join(timeout=PATIENCE_S)
        for stream in (self.child.stdout, self.child.stderr):
            if stream is not None:
                stream.close()
        return Ended(code, "".join(self._stdout), "".join(self._stderr))

    def _read_stdout(self) -> None:
        assert self.child.stdout is not None
        for line in self.child.stdout:
            self._stdout.append(line)
            self._lines.put(line)
        self._lines.put(None)

    def _read_stderr(self) -> None:
        assert self.child.stderr is not None
        for line in self.child.stderr:
            self._stderr.append(line)


def _parse(line: str) -> Json:
    """A line of `run --json`, with the event's fields beside its kind; those that have a `kind` too lose it."""
    parsed: Json = json.loads(line)
    return {**parsed.pop("body", {}), **parsed}


def _is(event: Json, kind: str, fields: Mapping[str, object]) -> bool:
    return event["kind"] == kind and all(event.get(name) == value for name, value in fields.items())
