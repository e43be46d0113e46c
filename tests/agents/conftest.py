"""Drives the real scripted agent through the real driver, with a ladder short enough for tests."""

from __future__ import annotations

import json
import os
import uuid
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from orchestrate import process
from orchestrate.agents.codec import AgentRequest
from orchestrate.agents.drive import Driven, Patience, Progress, drive
from orchestrate.agents.environment import allowed
from orchestrate.agents.perform import scripted_command
from orchestrate.agents.scripted_codec import ScriptedCodec

IMPATIENT = Patience(stall_s=30.0, tool_s=30.0, linger_s=10.0, tick_s=0.02, progress_s=0.05)
"""Soon there when something happens, and patient enough for a busy machine with those who do as they are told."""

BRUTAL = replace(IMPATIENT, interrupt_s=0.2, sigint_s=0.2, sigterm_s=0.2, linger_s=0.2)
"""For those who do not."""


@dataclass
class Stage:
    """Where scripts are played. progress: what was reported; alive(): who of a run is left."""

    directory: Path
    patience: Patience = IMPATIENT
    progress: list[Progress] = field(default_factory=list)
    secrets: tuple[bytes, ...] = ()
    namespaces: bool = True
    tag: str = field(default_factory=lambda: f"test.{uuid.uuid4().hex}")

    @property
    def work(self) -> Path:
        return self.directory / "work"

    @property
    def output(self) -> Path:
        return self.directory / "agent.jsonl"

    @property
    def errors(self) -> Path:
        return self.directory / "agent.stderr"

    def request(self, *plays: list[Any], **changes: Any) -> AgentRequest:
        script = self.directory / "script.json"
        script.write_text(json.dumps({"features": {"*": list(plays)}}))
        self.work.mkdir(exist_ok=True)
        request = AgentRequest(
            prompt="Do it.",
            session=str(uuid.uuid4()),
            resume=False,
            cwd=str(self.work),
            command=scripted_command(str(script)),
            environment=allowed(os.environ, ()),
            feature="a",
            attempt=1,
            invocation=1,
        )
        return replace(request, **changes)

    async def drive(self, request: AgentRequest, *, timeout_s: float = 20.0) -> Driven:
        return await drive(
            ScriptedCodec(),
            request,
            tag=self.tag,
            output=self.output,
            errors=self.errors,
            timeout_s=timeout_s,
            patience=self.patience,
            on_progress=self.progress.append,
            secrets=self.secrets,
            namespaces=self.namespaces,
        )

    async def play(self, *steps: Any, timeout_s: float = 20.0, **changes: Any) -> Driven:
        return await self.drive(self.request(list(steps), **changes), timeout_s=timeout_s)

    def alive(self) -> list[int]:
        return process.tagged(self.tag)


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)
