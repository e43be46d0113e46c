"""What Claude Code is started with: arguments, prompt message, environment."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from orchestrate.agents.claude import ENVIRONMENT, ClaudeCodec, arguments, prompt_message, tool_rules
from orchestrate.agents.codec import AgentRequest
from orchestrate.agents.environment import allowed
from orchestrate.agents.scripted_codec import ScriptedCodec

REQUEST = AgentRequest(
    prompt="Do it.",
    session="11111111-1111-4111-8111-111111111111",
    resume=False,
    cwd="/w",
    command=("claude",),
    environment={},
    feature="auth",
    attempt=2,
    invocation=3,
)


def value_of(args: tuple[str, ...], flag: str) -> str:
    return args[args.index(flag) + 1]


def test_a_first_invocation_chooses_its_session_and_a_later_one_goes_on() -> None:
    first, later = arguments(REQUEST), arguments(replace(REQUEST, resume=True))
    assert value_of(first, "--session-id") == REQUEST.session
    assert "--resume" not in first
    assert value_of(later, "--resume") == REQUEST.session
    assert "--session-id" not in later


def test_stream_json_both_ways() -> None:
    args = arguments(REQUEST)
    assert args[0] == "-p"
    assert value_of(args, "--input-format") == value_of(args, "--output-format") == "stream-json"
    assert "--verbose" in args


def test_limits_and_permissions_come_from_the_request() -> None:
    args = arguments(
        replace(
            REQUEST,
            model="opus",
            fallback_model="sonnet",
            max_turns=7,
            max_cost_usd=1.5,
            permission_mode="acceptEdits",
            allowed_tools=("Read", "Bash(pytest *)"),
            disallowed_tools=("WebFetch",),
        )
    )
    flags = ("--model", "--fallback-model", "--max-turns", "--max-budget-usd", "--permission-mode", "--disallowedTools")
    assert [value_of(args, flag) for flag in flags] == ["opus", "sonnet", "7", "1.500000", "acceptEdits", "WebFetch"]
    at = args.index("--allowedTools")
    assert args[at + 1 : at + 3] == ("Read", "Bash(pytest *)")


def test_without_limits_none_are_passed() -> None:
    args = arguments(REQUEST)
    for flag in ("--max-turns", "--max-budget-usd", "--model", "--permission-mode", "--allowedTools"):
        assert flag not in args


def test_a_budget_that_is_used_up_is_still_a_budget() -> None:
    """The program refuses 0 and would run without a limit if the flag were left out."""
    assert float(value_of(arguments(replace(REQUEST, max_cost_usd=0.0)), "--max-budget-usd")) > 0


def test_the_users_own_arguments_win() -> None:
    args = arguments(replace(REQUEST, model="opus", args=("--tools", "default", "--model=haiku")))
    assert args.count("--tools") == 1
    assert value_of(args, "--tools") == "default"
    assert "opus" not in args
    assert args[-1] == "--model=haiku"


def test_nothing_of_the_prompt_is_an_argument() -> None:
    assert "Do it." not in " ".join(ClaudeCodec().spawn_plan(REQUEST).argv)


@pytest.mark.parametrize("prompt", ["-x", "“quotes”\n{{ x }} %s ${Y}", "a" * 200_000, "nul \0 inside"])
def test_the_prompt_is_one_line_of_json_as_it_is(prompt: str) -> None:
    message = prompt_message(prompt)
    assert message.count(b"\n") == 1
    assert json.loads(message) == {"type": "user", "message": {"role": "user", "content": prompt}}


@pytest.mark.parametrize("prompt", ["/usage", "  /clear now", "\n/compact", "!rm -rf x", "# remember this"])
def test_a_prompt_is_never_a_command_of_the_program(prompt: str) -> None:
    content = json.loads(prompt_message(prompt))["message"]["content"]
    assert content.startswith("Do the following.")
    assert content.endswith(prompt)


def test_root_needs_a_word_more() -> None:
    assert "IS_SANDBOX" not in ClaudeCodec().spawn_plan(REQUEST).env
    assert ClaudeCodec().spawn_plan(replace(REQUEST, is_root=True)).env["IS_SANDBOX"] == "1"


def test_it_retries_little_and_keeps_no_memory() -> None:
    assert ENVIRONMENT["CLAUDE_CODE_MAX_RETRIES"] == "3"
    assert ENVIRONMENT["CLAUDE_CODE_DISABLE_AUTO_MEMORY"] == "1"
    assert ENVIRONMENT["CLAUDE_CODE_DISABLE_BACKGROUND_TASKS"] == "1"
    assert "CLAUDE_CONFIG_DIR" not in ENVIRONMENT  # moving it would lose the sign-in


def test_checks_may_be_run_and_work_committed() -> None:
    rules = tool_rules(("pytest -q", "npm test && rm x", "make  check "))
    assert rules == ("Bash(git add *)", "Bash(git commit *)", "Bash(pytest -q)", "Bash(make  check)")


def test_the_scripted_agent_is_told_which_play_it_is() -> None:
    argv = ScriptedCodec().spawn_plan(replace(REQUEST, command=("python", "--script", "s.json"))).argv
    assert argv[:3] == ("python", "--script", "s.json")
    assert argv[-6:] == ("--feature", "auth", "--attempt", "2", "--invocation", "3")


def test_the_environment_is_a_whitelist() -> None:
    environ = {
        "PATH": "/bin",
        "LC_ALL": "C",
        "ANTHROPIC_BASE_URL": "http://x",
        "GIT_DIR": "/elsewhere",
        "AWS_SECRET_ACCESS_KEY": "s",
        "PYTHONPATH": "/evil",
        "MINE": "m",
    }
    assert set(allowed(environ, ())) == {"PATH", "LC_ALL"}
    assert set(allowed(environ, ("ANTHROPIC_*", "MINE"))) == {"PATH", "LC_ALL", "ANTHROPIC_BASE_URL", "MINE"}
