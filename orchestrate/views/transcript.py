"""One line of an agent's stream-json → what a person reads: said, tool called, what it answered, how it ended.

Invariant: any bytes give an answer and none raises; what is not understood is shown as it is or left out, never
guessed at. The text is the agent's own: whoever prints it sanitises it.
Source of the format: `claude -p --output-format stream-json --verbose`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from orchestrate.views.figures import count_of, render_duration, render_money, shorten

PieceKind = Literal["begin", "said", "thought", "tool", "answer", "fault", "note", "end"]
"""begin: a session starts · tool: a call with its main argument · answer, fault: what the tool gave back · end: result."""

ANSWER_LINES = 6
"""Lines of a tool's answer that are shown; the raw file has them all."""
LINE_WIDTH = 400
"""Characters of one line that are shown."""
_LONGEST_PARSED = 8 * 1024 * 1024
"""Longer lines are named, not parsed: they are whole files pasted into an answer."""

_MAIN_ARGUMENT = {
    "Bash": "command",
    "BashOutput": "bash_id",
    "Read": "file_path",
    "Write": "file_path",
    "Edit": "file_path",
    "MultiEdit": "file_path",
    "NotebookEdit": "notebook_path",
    "Glob": "pattern",
    "Grep": "pattern",
    "Task": "description",
    "Agent": "description",
    "WebFetch": "url",
    "WebSearch": "query",
    "Skill": "skill",
}


@dataclass(frozen=True, slots=True)
class Piece:
    """text: one or more lines, not sanitised. depth: 1 inside a sub-agent."""

    kind: PieceKind
    text: str
    depth: int = 0


def parse_transcript_line(line: bytes) -> tuple[Piece, ...]:
    """What one raw line says; empty when it says nothing to a person."""
    text = line.strip()
    if not text:
        return ()
    if len(text) > _LONGEST_PARSED:
        return (Piece("note", f"a line of {len(text):,} bytes is not shown; --raw has it"),)
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        return (Piece("note", shorten(text.decode("utf-8", "replace"), LINE_WIDTH)),)
    if not isinstance(data, dict):
        return (Piece("note", shorten(text.decode("utf-8", "replace"), LINE_WIDTH)),)
    depth = 1 if data.get("parent_tool_use_id") else 0
    match data.get("type"):
        case "assistant":
            return tuple(_assistant(data, depth))
        case "user":
            return tuple(_user(data, depth))
        case "system":
            return _system(data, depth)
        case "result":
            return (_result(data),)
        case "rate_limit_event":
            return _rate_limit(data)
        case _:
            return ()


def _assistant(data: dict[str, Any], depth: int) -> Iterator[Piece]:
    failed = bool(data.get("error") or data.get("is_api_error_message"))
    for block in _blocks(data):
        match block.get("type"):
            case "text":
                if said := _text(block.get("text")).strip():
                    yield Piece("fault" if failed else "said", said, depth)
            case "thinking":
                if thought := _text(block.get("thinking")).strip():
                    yield Piece("thought", _clip(thought), depth)
            case "tool_use":
                yield Piece("tool", _call(_text(block.get("name")) or "?", block.get("input")), depth)
            case _:
                continue


def _user(data: dict[str, Any], depth: int) -> Iterator[Piece]:
    for block in _blocks(data):
        if block.get("type") == "tool_result":
            answer = _clip(_flatten(block.get("content")))
            yield Piece("fault" if block.get("is_error") is True else "answer", answer or "(nothing)", depth)


def _system(data: dict[str, Any], depth: int) -> tuple[Piece, ...]:
    match data.get("subtype"):
        case "init":
            model, mode = _text(data.get("model")), _text(data.get("permissionMode"))
            words = [word for word in (model, f"permissions {mode}" if mode else "") if word]
            return (Piece("begin", "session starts" + (f" ({', '.join(words)})" if words else ""), depth),)
        case "api_retry":
            status, delay_ms = data.get("error_status"), _number(data.get("retry_delay_ms"))
            number, most = data.get("attempt"), data.get("max_retries")
            why = _text(data.get("error")) or "the service failed"
            return (
                Piece("note", f"{why} ({status}); tries again in {delay_ms / 1000:.1f} s ({number} of {most})", depth),
            )
        case "permission_denied":
            return (Piece("fault", f"not allowed: {_text(data.get('tool_name'))}", depth),)
        case "model_fallback":
            return (Piece("note", f"goes on with model {_text(data.get('fallback_model'))}", depth),)
        case "status" if data.get("status") == "compacting":
            return (Piece("note", "shortens its own memory of the session", depth),)
        case _:
            return ()


def _result(data: dict[str, Any]) -> Piece:
    cost, turns = _number(data.get("total_cost_usd")), int(_number(data.get("num_turns")))
    figures = ", ".join(
        (count_of(turns, "turn"), render_duration(_number(data.get("duration_ms")) / 1000), render_money(cost))
    )
    if data.get("is_error") is True or str(data.get("subtype", "")).startswith("error"):
        errors = data.get("errors")
        why = _text(data.get("result")) or "; ".join(map(str, errors if isinstance(errors, list) else ()))
        return Piece(
            "end", f"ended: {shorten(why or _text(data.get('subtype')) or 'an error', LINE_WIDTH)} ({figures})"
        )
    denials = data.get("permission_denials")
    count = len(denials) if isinstance(denials, list) else 0
    denied = f"; {count_of(count, 'call was', 'calls were')} not allowed" if count else ""
    return Piece("end", f"says it is done ({figures}){denied}")


def _rate_limit(data: dict[str, Any]) -> tuple[Piece, ...]:
    info = data.get("rate_limit_info")
    if not isinstance(info, dict) or info.get("status") in (None, "allowed"):
        return ()
    window = _text(info.get("rateLimitType")).replace("_", " ")
    return (Piece("note", f"usage limit {window}: {_text(info.get('status')).replace('_', ' ')}"),)


def _call(name: str, arguments: object) -> str:
    """`Bash(npm test)`; an Edit also says how much it changes."""
    if not isinstance(arguments, dict):
        return f"{name}()"
    main = arguments.get(_MAIN_ARGUMENT.get(name, ""))
    if not isinstance(main, str):
        main = next((value for value in arguments.values() if isinstance(value, str)), "")
    lines = main.strip().splitlines() or [""]
    more = f" … {count_of(len(lines) - 1, 'more line')}" if len(lines) > 1 else ""
    return f"{name}({shorten(lines[0], LINE_WIDTH)}{more}){_size_of_change(name, arguments)}"


def _size_of_change(name: str, arguments: dict[str, Any]) -> str:
    if name == "Write":
        return f" +{len(_text(arguments.get('content')).splitlines())}"
    if name == "Edit":
        new, old = _text(arguments.get("new_string")), _text(arguments.get("old_string"))
        return f" +{len(new.splitlines())} -{len(old.splitlines())}"
    return ""


def _blocks(data: dict[str, Any]) -> Iterator[dict[str, Any]]:
    message = data.get("message")
    content = message.get("content") if isinstance(message, dict) else None
    if isinstance(content, str):
        yield {"type": "text", "text": content}
    elif isinstance(content, list):
        yield from (block for block in content if isinstance(block, dict))


def _flatten(content: object) -> str:
    """A tool's answer is text or a list of blocks; pictures are named, not shown."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    parts = (block for block in content if isinstance(block, dict))
    return "\n".join(_text(p.get("text")) if p.get("type") == "text" else f"({p.get('type')})" for p in parts)


def _clip(text: str) -> str:
    """The first lines and the last one: that is where tools put what matters."""
    lines = [shorten(line, LINE_WIDTH) for line in text.strip("\n").splitlines()]
    if len(lines) <= ANSWER_LINES:
        return "\n".join(lines)
    hidden = len(lines) - ANSWER_LINES + 1
    head, tail = lines[: ANSWER_LINES - 2], lines[-1]
    return "\n".join([*head, f"… {count_of(hidden, 'more line')}", tail])


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 0.0
    return float(value) if abs(value) < 1e15 else 0.0
