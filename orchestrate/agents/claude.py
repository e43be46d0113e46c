"""Claude Code, headless: its arguments, its environment, its stream-json. Pure.

Written against 2.1.197 and 2.1.329; tests/contract/data/claude holds what those two said. Invariant: nothing that is
secret or long is an argument (arguments are readable by every user), and no line of output can make this fail.
https://docs.claude.com/en/docs/claude-code/headless
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from orchestrate.core.events import Tokens

from . import claude_ending
from .codec import AgentRequest, Ending, ExitInfo, SpawnPlan
from .transcript import (
    AgentEvent,
    Denied,
    Failed,
    Init,
    RateLimit,
    ResultSeen,
    Retrying,
    Said,
    TaskChanged,
    ToolEnded,
    ToolStarted,
    Transcript,
    Usage,
    one_line,
)

TOOLS = "Bash,Read,Edit,Write,Glob,Grep"
"""The exact set: without it agents of one account see and message one another, and make worktrees of their own."""

SETTINGS = '{"attribution":{"commit":"","pr":""},"includeCoAuthoredBy":false}'
"""Commits are the user's: no line about the tool in them."""

ENVIRONMENT: Mapping[str, str] = {
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    "DISABLE_AUTOUPDATER": "1",
    # A background task would hold the process after its answer, and be paid for again when it ends.
    "CLAUDE_CODE_DISABLE_BACKGROUND_TASKS": "1",
    # Its memory belongs to the repository, not to the worktree: parallel agents would write the same files.
    "CLAUDE_CODE_DISABLE_AUTO_MEMORY": "1",
    # We retry, seeing all agents at once; its own ten tries take three silent minutes each.
    "CLAUDE_CODE_MAX_RETRIES": "3",
    "API_TIMEOUT_MS": "300000",
    "BASH_DEFAULT_TIMEOUT_MS": "300000",
    "BASH_MAX_TIMEOUT_MS": "600000",
    "TERM": "dumb",
}

PASSED_ON: tuple[str, ...] = (
    "ANTHROPIC_*",
    "CLAUDE_CODE_OAUTH_TOKEN",
    "CLAUDE_CONFIG_DIR",
    "CLAUDE_SECURESTORAGE_CONFIG_DIR",
)
"""Names (or beginnings, with *) of variables that Claude Code itself needs from the user's environment."""

_COMMAND_START = re.compile(r"\s*[/!#]")
_SIMPLE_COMMAND = re.compile(r"[\w./@:=+ -]+", re.ASCII)
_INTERRUPT = b'{"type":"control_request","request_id":"stop","request":{"subtype":"interrupt"}}\n'
_MAX_COUNT = 10**12
_MAX_USD = 1e6
_MAX_DELAY_S = 86_400.0
_LATEST = 253_402_300_799.0  # year 9999


class ClaudeCodec:
    """See codec.Codec."""

    name = "claude"

    def spawn_plan(self, request: AgentRequest) -> SpawnPlan:
        return SpawnPlan(
            argv=(*request.command, *arguments(request)),
            env={**ENVIRONMENT, **({"IS_SANDBOX": "1"} if request.is_root else {})},
            stdin=prompt_message(request.prompt),
            keep_stdin_open=True,
            interrupt=_INTERRUPT,
        )

    def decode(self, line: bytes) -> tuple[AgentEvent, ...]:
        return decode(line)

    def classify(self, transcript: Transcript, exit_info: ExitInfo) -> Ending:
        return claude_ending.classify(transcript, exit_info)


def arguments(request: AgentRequest) -> tuple[str, ...]:
    """Everything after the program. A flag that the user's own arguments name is left to them."""
    wanted: list[tuple[str, ...]] = [
        ("-p",),
        ("--input-format", "stream-json"),
        ("--output-format", "stream-json"),
        ("--verbose",),
        ("--resume" if request.resume else "--session-id", request.session),
        ("--tools", TOOLS),
        ("--strict-mcp-config",),
        ("--settings", SETTINGS),
    ]
    if request.model:
        wanted.append(("--model", request.model))
    if request.fallback_model:
        wanted.append(("--fallback-model", request.fallback_model))
    if request.max_turns:
        wanted.append(("--max-turns", str(request.max_turns)))
    if request.max_cost_usd is not None:
        wanted.append(("--max-budget-usd", f"{max(request.max_cost_usd, 0.000001):.6f}"))
    if request.permission_mode:
        wanted.append(("--permission-mode", request.permission_mode))
    if request.append_system_prompt:
        wanted.append(("--append-system-prompt", request.append_system_prompt))
    if request.disallowed_tools:
        wanted.append(("--disallowedTools", *request.disallowed_tools))
    if request.allowed_tools:
        wanted.append(("--allowedTools", *request.allowed_tools))
    theirs = {arg.partition("=")[0] for arg in request.args if arg.startswith("--")}
    return (*(part for flag in wanted if flag[0] not in theirs for part in flag), *request.args)


def tool_rules(commands: tuple[str, ...]) -> tuple[str, ...]:
    """Permission rules under which the agent may run these commands of the user, and commit.

    Only simple commands: of a compound one every part is judged by itself, and a rule for the whole never matches.
    """
    simple = (c.strip() for c in commands if _SIMPLE_COMMAND.fullmatch(c.strip()))
    return tuple(dict.fromkeys(("Bash(git add *)", "Bash(git commit *)", *(f"Bash({c})" for c in simple))))


def prompt_message(prompt: str) -> bytes:
    """The prompt as a line of stream-json. One that begins like a command of the program's own is not run as such."""
    if _COMMAND_START.match(prompt):
        prompt = f"Do the following.\n\n{prompt}"
    message = {"type": "user", "message": {"role": "user", "content": prompt}}
    return json.dumps(message).encode() + b"\n"


# ── decoding ─────────────────────────────────────────────────────────────────────────────────────────────────────


def decode(line: bytes) -> tuple[AgentEvent, ...]:
    """One line of stdout → events. Never raises; () for garbage and for what means nothing to us."""
    if line[:1] not in (b"{", b"["):
        line = line.lstrip()
        if line[:1] not in (b"{", b"["):
            return ()
    try:
        data = json.loads(line)
    except (ValueError, RecursionError):
        return ()
    # `--output-format json --verbose` prints all events as one array.
    return tuple(event for one in (data if isinstance(data, list) else [data]) for event in _events(one))


def _events(data: object) -> Iterator[AgentEvent]:
    if not isinstance(data, dict):
        return
    match data.get("type"):
        case "assistant":
            yield from _assistant(data)
        case "user":
            for block in _blocks(data):
                if block.get("type") == "tool_result":
                    yield ToolEnded(_text(block.get("tool_use_id"), 200))
        case "result":
            yield _result(data)
        case "system":
            yield from _system(data)
        case "rate_limit_event":
            info = _dict(data.get("rate_limit_info"))
            yield RateLimit(
                status=_text(info.get("status"), 40),
                resets_at=_number(info.get("resetsAt"), _LATEST) or None,
                kind=_text(info.get("rateLimitType"), 40),
                utilization=_number(info.get("utilization"), 100.0) if "utilization" in info else None,
            )


def _system(data: Mapping[str, Any]) -> Iterator[AgentEvent]:
    match data.get("subtype"):
        case "init":
            yield Init(
                session=_text(data.get("session_id"), 200),
                model=_text(data.get("model"), 200),
                version=_text(data.get("claude_code_version"), 60),
                cwd=_text(data.get("cwd"), 4_000),
            )
        case "api_retry":
            delay_s = _number(data.get("retry_delay_ms"), _MAX_DELAY_S * 1000) / 1000
            yield Retrying(delay_s, _count(data.get("error_status")))
        case "permission_denied":
            yield Denied(_text(data.get("tool_name"), 200))
        case "task_started":
            yield TaskChanged(_text(data.get("task_id"), 200), running=True)
        case "task_notification":
            yield TaskChanged(_text(data.get("task_id"), 200), running=False)


def _assistant(data: Mapping[str, Any]) -> Iterator[AgentEvent]:
    message = _dict(data.get("message"))
    model = _text(message.get("model"), 200)
    is_main = not data.get("parent_tool_use_id")
    written = 0
    for block in _blocks(data):
        match block.get("type"):
            case "text":
                text = _text(block.get("text"))
                written += len(text)
                if is_main and text.strip():
                    yield Said(text, "" if model.startswith("<") else model)
            case "tool_use":
                tool_input = _dict(block.get("input"))
                written += sum(len(v) for v in tool_input.values() if isinstance(v, str))
                yield ToolStarted(
                    _text(block.get("id"), 200), _text(block.get("name"), 200), _main_argument(tool_input)
                )
            case "thinking":
                written += len(_text(block.get("thinking")))
    if data.get("error"):
        yield Failed(
            category=_text(data.get("error"), 80),
            code=_text(data.get("api_error"), 80),
            status=_count(data.get("api_error_status")),
            text=" ".join(_text(b.get("text"), 2_000) for b in _blocks(data)),
        )
    usage = _dict(message.get("usage"))
    if usage and not model.startswith("<"):
        tokens = Tokens(
            _count(usage.get("input_tokens")),
            _count(usage.get("output_tokens")),
            _count(usage.get("cache_read_input_tokens")),
            _count(usage.get("cache_creation_input_tokens")),
        )
        yield Usage(_text(message.get("id"), 200), model, tokens, written)


def _result(data: Mapping[str, Any]) -> ResultSeen:
    """Of this turn alone where the version says so (from 2.1.198 on), else of the whole process."""
    fresh = isinstance(data.get("model_usage_since_last_result"), dict)
    by_model = _dict(data.get("model_usage_since_last_result" if fresh else "modelUsage"))
    per_model = [_dict(usage) for usage in by_model.values()]
    tokens = Tokens()
    for usage in per_model:
        tokens += Tokens(
            _count(usage.get("inputTokens")),
            _count(usage.get("outputTokens")),
            _count(usage.get("cacheReadInputTokens")),
            _count(usage.get("cacheCreationInputTokens")),
        )
    if fresh:
        cost = math.fsum(_number(usage.get("costUSD"), _MAX_USD) for usage in per_model)
    else:
        cost = _number(data.get("total_cost_usd"), _MAX_USD)
    denials = data.get("permission_denials")
    errors = data.get("errors")
    return ResultSeen(
        session=_text(data.get("session_id"), 200),
        subtype=_text(data.get("subtype"), 80),
        is_error=data.get("is_error") is not False or _text(data.get("subtype"), 80).startswith("error"),
        text=_text(data.get("result"), 100_000),
        terminal_reason=_text(data.get("terminal_reason"), 80),
        stop_reason=_text(data.get("stop_reason"), 80),
        status=_count(data.get("api_error_status")),
        code=_text(data.get("api_error"), 80),
        turns=min(_count(data.get("num_turns")), 1_000_000),
        cost_usd=cost,
        tokens=tokens,
        fresh=fresh,
        denials=tuple(_text(_dict(d).get("tool_name"), 200) for d in denials[:50]) if isinstance(denials, list) else (),
        errors=tuple(_text(e, 2_000) for e in errors[:10]) if isinstance(errors, list) else (),
    )


_MAIN_ARGUMENTS = ("command", "file_path", "path", "notebook_path", "pattern", "url", "query", "description", "prompt")


def _main_argument(tool_input: Mapping[str, Any]) -> str:
    """What a person wants to know of a tool call: the command, the file, the pattern."""
    for name in _MAIN_ARGUMENTS:
        value = tool_input.get(name)
        if isinstance(value, str) and value:
            return one_line(value)
    return ""


def _blocks(data: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    content = _dict(data.get("message")).get("content")
    if isinstance(content, list):
        for block in content:
            if isinstance(block, dict):
                yield block


def _dict(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: object, limit: int = 0) -> str:
    """Text, without lone surrogates (which no file and no terminal accepts)."""
    if not isinstance(value, str):
        return ""
    if limit and len(value) > limit:
        value = value[:limit]
    return value if value.isascii() else value.encode("utf-8", "replace").decode()


def _count(value: object) -> int:
    return int(_number(value, _MAX_COUNT))


def _number(value: object, top: float) -> float:
    """A figure that can be believed: finite, from 0 to top; 0 for everything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 0.0
    if not 0 <= value <= top:  # also false for NaN
        return 0.0
    return float(value)
