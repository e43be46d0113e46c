"""A place to run commands in, and a performer whose worktrees are plain directories."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from orchestrate.core.events import CheckResult
from orchestrate.core.plan import Command
from orchestrate.process import tagged
from orchestrate.redact import Redactor
from orchestrate.verify.checks import Place, run_check

RUN = f"20261121-111415-{os.getpid() & 0xFFFF:04x}"
"""Another one in each process that runs tests: what carries the same tag is ended together."""

TAG = f"{RUN}.x.1.9.0"
NO_SECRETS = Redactor({})
ENV = {"PATH": "/usr/local/bin:/usr/bin:/bin"}


@dataclass
class Shell:
    """Runs one command after the other; each leaves its output in `artifact`."""

    place: Place
    commands: list[str] = field(default_factory=list)

    async def run(self, command: str, timeout_s: float = 60.0) -> CheckResult:
        return await run_check(Command("check", command, timeout_s), self.place)

    @property
    def written(self) -> bytes:
        return self.place.artifact.read_bytes()


@pytest.fixture
def make_shell(tmp_path: Path) -> Callable[..., Shell]:
    def make(redactor: Redactor = NO_SECRETS) -> Shell:
        work = tmp_path / "work"
        work.mkdir(exist_ok=True)
        return Shell(Place(work, ENV, TAG, tmp_path / "artifacts/x/1/check.log", redactor))

    return make


@pytest.fixture
def shell(make_shell: Callable[..., Shell]):
    """Nothing that a test starts through it may be alive afterwards."""
    yield make_shell()
    assert tagged(TAG) == []
