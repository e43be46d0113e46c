"""Which agents are found, and what is said of those that are not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from orchestrate.agents.detect import agents, probe
from orchestrate.agents.settings import AgentSettings, ClaudeSettings, ScriptedSettings


@pytest.fixture
def settings(tmp_path: Path) -> AgentSettings:
    return AgentSettings(worktrees=tmp_path / "w", artifacts=tmp_path / "a")


def program(directory: Path, body: str) -> Path:
    path = directory / "claude"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


def test_claude_on_the_path(tmp_path: Path, settings: AgentSettings) -> None:
    path = program(tmp_path, 'test "$1" = --version && echo "2.1.329 (Claude Code)"')
    status = probe("claude", settings, {"PATH": f"{tmp_path}:/bin", "HOME": str(tmp_path), "ANTHROPIC_API_KEY": "k"})
    assert (status.path, status.version, status.signed_in, status.how) == (
        str(path),
        "2.1.329",
        "yes",
        "ANTHROPIC_API_KEY",
    )
    assert status.usable
    assert status.hint == ""


def test_not_signed_in(tmp_path: Path, settings: AgentSettings) -> None:
    program(tmp_path, "echo 2.1.329")
    status = probe("claude", settings, {"PATH": f"{tmp_path}:/bin", "HOME": str(tmp_path)})
    assert status.signed_in in ("no", "unknown")
    assert status.usable  # a guess stops nobody


@pytest.mark.parametrize("variable", ["HOME", "CLAUDE_CONFIG_DIR"])
def test_signed_in_by_file(tmp_path: Path, settings: AgentSettings, variable: str) -> None:
    program(tmp_path, "echo 2.1.329")
    where = tmp_path / ".claude" if variable == "HOME" else tmp_path / "conf"
    where.mkdir()
    (where / ".credentials.json").touch()
    value = tmp_path if variable == "HOME" else where
    status = probe("claude", settings, {"PATH": f"{tmp_path}:/bin", variable: str(value)})
    assert (status.signed_in, status.how) == ("yes", str(where / ".credentials.json"))


@pytest.mark.parametrize(
    ("body", "words"),
    [("echo broken; exit 1", "failed: broken"), ("echo hello", "failed: hello"), ("exit 3", "exit code 3")],
)
def test_a_program_that_does_not_answer(tmp_path: Path, settings: AgentSettings, body: str, words: str) -> None:
    program(tmp_path, body)
    status = probe("claude", settings, {"PATH": f"{tmp_path}:/bin"})
    assert words in status.problem


def test_an_old_version_is_said(tmp_path: Path, settings: AgentSettings) -> None:
    program(tmp_path, "echo 2.0.9")
    status = probe("claude", settings, {"PATH": f"{tmp_path}:/bin", "ANTHROPIC_API_KEY": "k"})
    assert status.usable
    assert "older than 2.1.197" in status.hint


def test_a_program_that_is_not_there(tmp_path: Path, settings: AgentSettings) -> None:
    missing = replace(settings, claude=ClaudeSettings(("no-such-claude",)))
    status = probe("claude", missing, {"PATH": str(tmp_path)})
    assert "`no-such-claude` was not found" in status.problem
    assert "npm install" in status.hint


def test_the_scripted_agent_needs_a_script(tmp_path: Path, settings: AgentSettings) -> None:
    assert "no script" in probe("scripted", settings, {}).problem
    absent = replace(settings, scripted=ScriptedSettings(str(tmp_path / "s.json")))
    assert "is not there" in probe("scripted", absent, {}).problem
    (tmp_path / "s.json").touch()
    assert probe("scripted", absent, {}).usable


def test_an_agent_that_nobody_knows(settings: AgentSettings) -> None:
    assert "no agent `hal`" in probe("hal", settings, {}).problem
    assert set(agents()) == {"claude", "scripted"}
