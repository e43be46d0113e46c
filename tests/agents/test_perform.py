"""RunAgent in, InvocationFinished out: with the scripted agent, and with everything that can be missing."""

from __future__ import annotations

import asyncio
import json
import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from orchestrate import process
from orchestrate.agents.perform import AgentPerformer, after_git_settings
from orchestrate.agents.settings import AgentSettings, ClaudeSettings, ScriptedSettings
from orchestrate.core import events as ev
from orchestrate.core.brief import Brief
from orchestrate.core.effects import RunAgent, SealWork
from orchestrate.core.names import AttemptKey, session_id, worktree_dir
from orchestrate.core.plan import Command, Feature
from orchestrate.redact import Redactor

from .conftest import IMPATIENT

KEY = AttemptKey(
    f"20261121-120000-{os.getpid() % 65536:04x}", "auth", 1
)  # one worker must not sweep up another's agents
EFFECT = RunAgent(
    f"{KEY.run}.auth.1.2",
    KEY,
    1,
    "edit",
    session_id(KEY, 1),
    resume=False,
    timeout_s=20,
    max_cost_usd=None,
    feedback="",
)
SECRET = "correct-horse-battery"


FEATURE = Feature("auth", prompt="Do it.", agent="scripted", env=(("COLOUR", "red"),))


@dataclass
class Clock:
    time: float = 1_000.0

    def now(self) -> float:
        self.time += 1
        return self.time


@dataclass
class Desk:
    """A performer with one feature, its directories, and what it emitted."""

    directory: Path
    feature: Feature = FEATURE
    emitted: list[ev.Event] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def worktree(self) -> Path:
        return self.directory / "worktrees" / worktree_dir(KEY)

    def performer(self, *steps: Any) -> AgentPerformer:
        script = self.directory / "script.json"
        script.write_text(json.dumps({"features": {"auth": [list(steps)]}}))
        settings = AgentSettings(
            worktrees=self.directory / "worktrees",
            artifacts=self.directory / "artifacts",
            scripted=ScriptedSettings(str(script)),
            patience=IMPATIENT,
        )
        return AgentPerformer(
            replace(settings, **self.settings),
            features={"auth": self.feature},
            brief_of=lambda effect: Brief("auth", "Sign-in", self.feature.prompt, phase=effect.phase),
            variables=lambda _: {"PORT": "41000", "ORCHESTRATE_PORT": "41000"},
            environ={**os.environ, "MY_TOKEN": SECRET, "UNRELATED": "x"},
            redactor=Redactor({"MY_TOKEN": SECRET}),
            clock=Clock(),
        )

    async def perform(self, *steps: Any, effect: RunAgent = EFFECT) -> ev.InvocationFinished:
        self.worktree.mkdir(parents=True, exist_ok=True)
        await self.performer(*steps).perform(effect, self.emitted.append)
        return self.finished()

    def finished(self) -> ev.InvocationFinished:
        """The only one, and the last thing that was emitted."""
        last = self.emitted[-1]
        assert isinstance(last, ev.InvocationFinished)
        assert sum(isinstance(e, ev.InvocationFinished) for e in self.emitted) == 1
        return last


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


async def test_a_good_invocation(desk: Desk) -> None:
    done = await desk.perform({"write": {"path": "a.py", "text": "x"}}, {"say": "Did it."})

    assert (done.feature, done.attempt, done.invocation) == ("auth", 1, 1)
    assert (done.end, done.why, done.said, done.exit_code) == ("done", "", "Did it.", 0)
    assert (done.turns, done.session, done.model) == (2, EFFECT.session, "scripted")
    assert done.cost_usd == pytest.approx(2 * 0.0043)
    assert 0 < done.duration_s < 60
    assert (desk.worktree / "a.py").read_text() == "x"
    assert done.artifact == str(desk.directory / "artifacts/auth/1/agent-1.jsonl")
    files = sorted(os.listdir(Path(done.artifact).parent))
    assert files == ["agent-1.exit", "agent-1.jsonl", "attempt.lock"], "it said nothing on stderr"


async def test_progress_comes_before_the_end(desk: Desk) -> None:
    await desk.perform({"run": "true"}, {"wait": 0.1}, {"say": "Did it."})
    progress = [e for e in desk.emitted if isinstance(e, ev.InvocationProgressed)]
    assert progress[0].action == "Bash true"
    assert all((p.feature, p.attempt, p.invocation) == ("auth", 1, 1) for p in progress)


async def test_the_agent_gets_the_prompt_and_the_environment_it_needs(desk: Desk) -> None:
    await desk.perform({"save_prompt": "prompt.txt"}, {"run": "env > env.txt"})
    prompt = (desk.worktree / "prompt.txt").read_text()
    assert "Your feature: Sign-in" in prompt
    assert "Do it." in prompt
    environment = dict(line.split("=", 1) for line in (desk.worktree / "env.txt").read_text().splitlines())
    assert environment["ORCHESTRATE_RUN"] == KEY.run
    assert environment["ORCHESTRATE_FEATURE"] == "auth"
    assert environment["ORCHESTRATE_ATTEMPT"] == environment["ORCHESTRATE_INVOCATION"] == "1"
    assert environment["PORT"] == environment["ORCHESTRATE_PORT"] == "41000"
    assert environment["COLOUR"] == "red"
    assert environment[process.TAG] == EFFECT.id
    assert not {"MY_TOKEN", "UNRELATED"} & set(environment)


async def test_the_features_own_variables_win(desk: Desk) -> None:
    desk.feature = replace(FEATURE, env=(("TERM", "vt100"),))
    await desk.perform({"run": "echo $TERM > term.txt"})
    assert (desk.worktree / "term.txt").read_text() == "vt100\n"


async def test_the_users_modules_are_not_taken_for_ours(desk: Desk) -> None:
    (desk.worktree / "orchestrate").mkdir(parents=True)
    (desk.worktree / "orchestrate" / "__init__.py").write_text("raise SystemExit('taken')")
    (desk.worktree / "json.py").write_text("raise SystemExit('taken')")
    assert (await desk.perform({"say": "fine"})).said == "fine"


async def test_nothing_is_left_in_the_worktree(desk: Desk) -> None:
    await desk.perform({"say": "nothing to do"})
    assert os.listdir(desk.worktree) == []


async def test_secrets_are_taken_out(desk: Desk) -> None:
    done = await desk.perform(
        {"tool": {"name": "Bash", "input": {"command": f"login {SECRET}"}}}, {"say": f"it is {SECRET}"}
    )
    assert done.said == "it is [REDACTED:value]"
    assert SECRET not in Path(done.artifact).read_text()
    assert SECRET not in str(desk.emitted)


async def test_rework_resumes_the_session(desk: Desk) -> None:
    await desk.perform({"say": "one"})
    desk.emitted.clear()
    again = replace(EFFECT, id=f"{KEY.run}.auth.1.5", invocation=2, phase="rework", resume=True, feedback="mend it")
    done = await desk.perform({"say": "two"}, effect=again)
    assert (done.end, done.said, done.session, done.session_lost) == ("done", "two", EFFECT.session, False)


async def test_a_lost_session_is_said(desk: Desk) -> None:
    done = await desk.perform({"say": "two"}, effect=replace(EFFECT, resume=True))
    assert (done.end, done.session_lost) == ("crashed", True)


async def test_limits_reach_the_agent(desk: Desk) -> None:
    done = await desk.perform({"usage": {"cost": 0.3}}, *[{"say": "x"}] * 5, effect=replace(EFFECT, max_cost_usd=0.5))
    assert (done.end, done.cost_usd) == ("incomplete", pytest.approx(0.6))


async def test_time_is_up(desk: Desk) -> None:
    done = await desk.perform("hang", effect=replace(EFFECT, timeout_s=0.3))
    assert done.end == "timed_out"
    assert process.tagged(EFFECT.id) == []


# ── what can be missing ──────────────────────────────────────────────────────────────────────────────────────────


async def refused(desk: Desk, words: str) -> None:
    done = await desk.perform({"say": "x"})
    assert done.end == "config"
    assert words in done.why
    assert done.artifact == ""


async def test_a_missing_program(desk: Desk) -> None:
    desk.feature = replace(desk.feature, agent="claude")
    desk.settings = {"claude": ClaudeSettings(command=("no-such-program",))}
    await refused(desk, "`no-such-program` was not found")


async def test_a_program_that_cannot_be_run(desk: Desk) -> None:
    program = desk.directory / "claude"
    program.write_bytes(b"\x7fELF not really")
    program.chmod(0o755)
    desk.feature = replace(desk.feature, agent="claude")
    desk.settings = {"claude": ClaudeSettings(command=(str(program),))}
    done = await desk.perform({"say": "x"})
    assert done.end == "config"
    assert str(program) in done.why or "Exec format" in done.why


async def test_a_missing_script(desk: Desk) -> None:
    desk.settings = {"scripted": ScriptedSettings("")}
    await refused(desk, "has no script")


async def test_an_unknown_agent(desk: Desk) -> None:
    desk.feature = replace(desk.feature, agent="hal")
    await refused(desk, "no agent `hal`")


async def test_a_broken_template(desk: Desk) -> None:
    template = desk.directory / "mine.md"
    template.write_text("{{ nonsense }}")
    desk.settings = {"template": template}
    await refused(desk, "nonsense")


async def test_a_missing_worktree(desk: Desk) -> None:
    await desk.performer({"say": "x"}).perform(EFFECT, desk.emitted.append)
    assert (desk.finished().end, "is gone" in desk.finished().why) == ("crashed", True)


# ── being stopped ────────────────────────────────────────────────────────────────────────────────────────────────


async def test_cancelled_while_it_works(desk: Desk) -> None:
    working = asyncio.Event()

    def emit(event: ev.Event) -> None:
        desk.emitted.append(event)
        working.set()

    desk.worktree.mkdir(parents=True)
    running = asyncio.create_task(desk.performer({"say": "x"}, "hang").perform(EFFECT, emit))
    await asyncio.wait_for(working.wait(), 10)
    running.cancel()
    await running
    done = desk.finished()
    assert (done.end, done.cost_usd, done.cost_estimated) == ("interrupted", pytest.approx(0.0043), False)
    assert process.tagged(EFFECT.id) == []


@pytest.mark.parametrize("turns_of_the_loop", range(8))
async def test_cancelled_while_it_starts(desk: Desk, turns_of_the_loop: int) -> None:
    desk.worktree.mkdir(parents=True)
    running = asyncio.create_task(desk.performer("hang").perform(EFFECT, desk.emitted.append))
    for _ in range(turns_of_the_loop):
        await asyncio.sleep(0)
    running.cancel()
    await asyncio.wait({running})
    if turns_of_the_loop:  # a task that never ran cannot answer
        assert desk.finished().end == "interrupted"
    assert process.tagged(EFFECT.id) == []


async def test_other_effects_are_a_defect(desk: Desk) -> None:
    with pytest.raises(TypeError, match="SealWork"):
        await desk.performer().perform(SealWork("x.auth.1.1", KEY), desk.emitted.append)


# ── Claude Code ──────────────────────────────────────────────────────────────────────────────────────────────────

FAKE_CLAUDE = """#!/bin/sh
printf '%s\\n' "$@" > args.txt
env > env.txt
read -r line
printf '%s' "$line" > prompt.json
echo '{"type":"system","subtype":"init","session_id":"s","model":"m","cwd":"/"}'
echo '{"type":"result","subtype":"success","is_error":false,"result":"ok","session_id":"s","total_cost_usd":0.5}'
"""


async def test_claude_is_started_as_configured(desk: Desk) -> None:
    program = desk.directory / "claude"
    program.write_text(FAKE_CLAUDE)
    program.chmod(0o755)
    desk.feature = Feature("auth", prompt="Do it.", model="opus", verify=(Command("unit", "pytest -q"),))
    desk.settings = {
        "claude": ClaudeSettings((str(program),), allowed_tools=("Read",), pass_env=("MY_TOKEN",), args=("--debug",)),
        "max_turns": 9,
    }
    done = await desk.perform()
    assert (done.end, done.cost_usd) == ("done", 0.5)
    args = (desk.worktree / "args.txt").read_text().splitlines()
    for flag, value in {
        "--model": "opus",
        "--permission-mode": "acceptEdits",
        "--max-turns": "9",
        "--session-id": EFFECT.session,
        "--allowedTools": "Read",
    }.items():
        assert args[args.index(flag) + 1] == value
    assert "Bash(pytest -q)" in args
    assert args[-1] == "--debug"
    environment = (desk.worktree / "env.txt").read_text()
    assert f"MY_TOKEN={SECRET}" in environment
    assert "CLAUDE_CODE_DISABLE_BACKGROUND_TASKS=1" in environment
    assert "UNRELATED" not in environment


def test_settings_for_git_come_behind_those_that_the_user_gives() -> None:
    ours = {"PORT": "1", "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "core.excludesFile", "GIT_CONFIG_VALUE_0": "/x"}
    assert after_git_settings({}, ours) == ours
    assert after_git_settings({"GIT_CONFIG_COUNT": "2"}, ours) == {
        "PORT": "1",
        "GIT_CONFIG_COUNT": "3",
        "GIT_CONFIG_KEY_2": "core.excludesFile",
        "GIT_CONFIG_VALUE_2": "/x",
    }
    assert after_git_settings({"GIT_CONFIG_COUNT": "2"}, {"PORT": "1"}) == {"PORT": "1"}
