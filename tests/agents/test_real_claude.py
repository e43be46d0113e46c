"""The real Claude Code under our driver and codec, against a local API: what only the real program can show."""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from orchestrate import process
from orchestrate.agents.claude import ClaudeCodec, tool_rules
from orchestrate.agents.codec import AgentRequest
from orchestrate.agents.drive import Driven, Patience, Progress, drive
from tests.support.agent_api import AgentApi, Answer, runs, serve_agent_api, writes
from tests.support.realclaude import ENVIRONMENT, MODEL, programs

pytestmark = [pytest.mark.real_agent, pytest.mark.parametrize("claude", programs())]

ONE_ANSWER_USD = 0.0054


@dataclass
class Agent:
    """One conversation with the real program."""

    claude: Path
    directory: Path
    api: AgentApi
    session: str = field(default_factory=lambda: str(uuid.uuid4()))
    tag: str = field(default_factory=lambda: f"test.{uuid.uuid4().hex}")
    progress: list[Progress] = field(default_factory=list)

    @property
    def work(self) -> Path:
        return self.directory / "work"

    async def drive(
        self, *answers: Answer, patience: Patience | None = None, timeout_s: float = 60, **ask: Any
    ) -> Driven:
        self.work.mkdir(exist_ok=True)
        url = self.api.play(self.session, *answers)
        request: dict[str, Any] = {
            "prompt": "Do it.",
            "session": self.session,
            "resume": False,
            "cwd": str(self.work),
            "command": (str(self.claude),),
            "environment": {
                "PATH": os.environ["PATH"], "HOME": str(self.directory), **ENVIRONMENT, "ANTHROPIC_BASE_URL": url
            },
            "feature": "a",
            "attempt": 1,
            "invocation": 1,
            "model": MODEL,
            "permission_mode": "acceptEdits",
            "is_root": os.geteuid() == 0,
        }  # fmt: skip
        return await drive(
            ClaudeCodec(),
            AgentRequest(**{**request, **ask}),
            tag=self.tag,
            output=self.directory / "out",
            errors=self.directory / "err",
            timeout_s=timeout_s,
            patience=patience or Patience(),
            on_progress=self.progress.append,
        )


@pytest.fixture
def agent(claude: Path, tmp_path: Path) -> Iterator[Agent]:
    with serve_agent_api() as api:
        yield Agent(claude, tmp_path, api)


async def test_it_works_and_goes_on_in_its_session(agent: Agent) -> None:
    answers = [Answer("I write.", tools=(writes("a.txt", "x\n"),)), Answer("All done."), Answer("Mended.")]
    first = await agent.drive(*answers)
    assert (first.ending.end, first.ending.said, first.ending.turns) == ("done", "All done.", 2)
    assert first.ending.cost_usd == pytest.approx(2 * ONE_ANSWER_USD)
    assert (agent.work / "a.txt").read_text() == "x\n"
    second = await agent.drive(*answers, resume=True, prompt="mend it")
    assert (second.ending.end, second.ending.said) == ("done", "Mended.")
    assert second.ending.cost_usd == pytest.approx(ONE_ANSWER_USD)  # of this invocation alone, in every version
    assert second.ending.session == agent.session


async def test_an_unknown_session_is_lost(agent: Agent) -> None:
    assert (await agent.drive(Answer("x"), resume=True)).ending.session_lost


async def test_a_prompt_is_never_a_command_of_the_program(agent: Agent) -> None:
    driven = await agent.drive(Answer("I read it."), prompt="/usage of the parser is to be documented")
    assert driven.ending.said == "I read it."  # the model was asked


async def test_checks_may_be_run_and_work_committed_and_nothing_else(agent: Agent) -> None:
    check = "python3 -c pass"
    rules = tool_rules((check,))
    allowed = [Answer(tools=(runs(command),)) for command in (check, "git add -A", "git commit --allow-empty -m x")]
    driven = await agent.drive(*allowed, Answer("end"), allowed_tools=rules)
    assert (driven.ending.end, driven.ending.denials) == ("done", ())
    other = Agent(agent.claude, agent.directory, agent.api)
    driven = await other.drive(Answer(tools=(runs("curl -s x"),)), Answer("end"), allowed_tools=rules)
    assert (driven.ending.end, driven.ending.denials) == ("denied", ("Bash",))


async def test_its_budget_holds(agent: Agent) -> None:
    driven = await agent.drive(*[Answer(tools=(runs("ls"),))] * 4, max_cost_usd=ONE_ANSWER_USD * 1.5)
    assert driven.ending.end == "incomplete"
    assert driven.ending.cost_usd == pytest.approx(2 * ONE_ANSWER_USD)


async def test_stopped_in_a_tool_it_ends_with_everything_and_says_what_it_cost(agent: Agent) -> None:
    sleeping = Answer(tools=(runs("sleep 600"),))
    running = asyncio.create_task(agent.drive(sleeping, permission_mode="bypassPermissions"))
    async with asyncio.timeout(60):
        while not any("sleep 600" in p.action for p in agent.progress):
            await asyncio.sleep(0.02)
    running.cancel()
    driven = await running
    assert (driven.ending.end, driven.ending.cost_estimated) == ("interrupted", False)
    assert driven.ending.cost_usd == pytest.approx(ONE_ANSWER_USD)
    assert process.tagged(agent.tag) == []


async def test_silence_of_the_service_is_a_stall(agent: Agent) -> None:
    driven = await agent.drive(Answer("x", hang="mid"), patience=Patience(stall_s=3))
    assert driven.ending.end == "stalled"
    assert driven.duration_s < 60


@pytest.mark.parametrize(
    ("status", "error", "end"),
    [
        (529, ("overloaded_error", "Overloaded"), "transient"),
        (403, ("permission_error", "no"), "auth"),
        (404, ("not_found_error", "model"), "config"),
    ],
)
async def test_failures_of_the_service(agent: Agent, status: int, error: tuple[str, str], end: str) -> None:
    driven = await agent.drive(*[Answer(status=status, error=error)] * 8)
    assert driven.ending.end == end
