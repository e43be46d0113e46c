"""A repository with runs in its log, and the installed command asked about them."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from orchestrate.cli import main
from orchestrate.core import events as ev
from orchestrate.core.names import AttemptKey
from orchestrate.core.plan import Plan
from orchestrate.spec.frozen import render_plan
from orchestrate.store.artifacts import StateDir
from orchestrate.store.log import SqliteEventLog

from .logs import RUN, Scenario
from .repos import Repo


@dataclass(frozen=True)
class Answer:
    """What a command said. raw: its stdout, byte for byte."""

    code: int
    raw: bytes
    err: str

    @property
    def out(self) -> str:
        return self.raw.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.raw)


@dataclass(frozen=True)
class Recording:
    """A repository and what was recorded in it."""

    repo: Repo

    @classmethod
    def make(cls, path: Path) -> Recording:
        return cls(Repo.make(path))

    @property
    def state(self) -> StateDir:
        return StateDir(self.repo.path / ".git")

    def store(self, plan: Plan, events: Sequence[ev.Event], run: str = RUN) -> None:
        """Append events; a RunStarted among them is given the plan, and the id of the run."""
        filled = [
            replace(event, run=run, plan=render_plan(plan)) if isinstance(event, ev.RunStarted) else event
            for event in events
        ]
        self.state.create()
        with SqliteEventLog(self.state.log) as log:
            log.append(run, filled)

    def store_scenario(self, scenario: Scenario, run: str = RUN) -> None:
        self.store(scenario.plan, scenario.events, run)

    def transcript(self, feature: str, *lines: dict[str, Any] | bytes, attempt: int = 1, invocation: int = 1) -> Path:
        """Append to the file that an agent's output goes to."""
        path = self.state.attempt_dir(AttemptKey(RUN, feature, attempt)) / f"agent-{invocation}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as file:
            for line in lines:
                file.write(line if isinstance(line, bytes) else json.dumps(line).encode() + b"\n")
        return path

    def ask(self, *arguments: str) -> Answer:
        """Run one command line about this repository, in this process; there is no terminal."""
        with io.TextIOWrapper(io.BytesIO(), "utf-8") as out, io.StringIO() as err:
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                code = main(["-C", str(self.repo.path), *arguments])
            out.flush()
            raw = out.buffer
            assert isinstance(raw, io.BytesIO)
            return Answer(code, raw.getvalue(), err.getvalue())


def said(text: str) -> dict[str, Any]:
    """The agent says something."""
    return {"type": "assistant", "message": {"content": [{"type": "text", "text": text}]}}


def called(tool: str, **arguments: str) -> dict[str, Any]:
    """The agent calls a tool."""
    return {
        "type": "assistant",
        "message": {"content": [{"type": "tool_use", "id": "t", "name": tool, "input": arguments}]},
    }
