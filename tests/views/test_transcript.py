"""An agent's stream as a person reads it; no bytes can make it raise."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrate.views.transcript import ANSWER_LINES, Piece, parse_transcript_line


def parse(data: object) -> tuple[Piece, ...]:
    return parse_transcript_line(json.dumps(data).encode())


def assistant(*blocks: object, **more: object) -> dict[str, object]:
    return {"type": "assistant", "message": {"content": list(blocks)}, **more}


def answer(content: object, *, is_error: bool = False) -> dict[str, object]:
    block = {"type": "tool_result", "tool_use_id": "t1", "content": content, "is_error": is_error}
    return {"type": "user", "message": {"role": "user", "content": [block]}}


def call(name: str, arguments: object) -> str:
    (piece,) = parse(assistant({"type": "tool_use", "id": "t1", "name": name, "input": arguments}))
    assert piece.kind == "tool"
    return piece.text


def test_what_the_agent_says() -> None:
    assert parse(assistant({"type": "text", "text": " I will create the file.\n"})) == (
        Piece("said", "I will create the file."),
    )
    assert parse(assistant({"type": "text", "text": "  "})) == ()
    assert parse(assistant({"type": "thinking", "thinking": "hm"})) == (Piece("thought", "hm"),)


def test_a_subagent_is_indented() -> None:
    (piece,) = parse(assistant({"type": "text", "text": "hi"}, parent_tool_use_id="t0"))
    assert piece.depth == 1


@pytest.mark.parametrize(
    ("name", "arguments", "shown"),
    [
        ("Bash", {"description": "Run tests", "command": "npm test"}, "Bash(npm test)"),
        ("Bash", {"command": "cat <<E\nx\nE"}, "Bash(cat <<E … 2 more lines)"),
        ("Read", {"file_path": "/w/a.py", "limit": 3}, "Read(/w/a.py)"),
        ("Write", {"file_path": "a.py", "content": "1\n2\n3\n"}, "Write(a.py) +3"),
        ("Edit", {"file_path": "a.py", "old_string": "x", "new_string": "y\nz"}, "Edit(a.py) +2 -1"),
        ("mcp__db__query", {"n": 1, "sql": "select 1"}, "mcp__db__query(select 1)"),
        ("Odd", {"n": 1}, "Odd()"),
        ("Odd", None, "Odd()"),
    ],
)
def test_a_call_shows_its_main_argument(name: str, arguments: object, shown: str) -> None:
    assert call(name, arguments) == shown


def test_an_answer_keeps_its_head_and_its_last_line() -> None:
    (piece,) = parse(answer("\n".join(f"line {n}" for n in range(20))))
    assert piece.text.splitlines() == ["line 0", "line 1", "line 2", "line 3", "… 15 more lines", "line 19"]
    assert len(piece.text.splitlines()) == ANSWER_LINES


def test_answers_of_every_shape() -> None:
    assert parse(answer("")) == (Piece("answer", "(nothing)"),)
    assert parse(answer("no", is_error=True)) == (Piece("fault", "no"),)
    assert parse(answer([{"type": "text", "text": "a"}, {"type": "image"}])) == (Piece("answer", "a\n(image)"),)
    assert parse({"type": "user", "message": {"content": "a prompt"}}) == ()


def test_system_lines() -> None:
    init = {"type": "system", "subtype": "init", "model": "opus", "permissionMode": "acceptEdits"}
    assert parse(init) == (Piece("begin", "session starts (opus, permissions acceptEdits)"),)
    retry = {"type": "system", "subtype": "api_retry", "attempt": 1, "max_retries": 3, "retry_delay_ms": 561}
    assert parse({**retry, "error_status": 529, "error": "overloaded"}) == (
        Piece("note", "overloaded (529); tries again in 0.6 s (1 of 3)"),
    )
    denied = {"type": "system", "subtype": "permission_denied", "tool_name": "Bash"}
    assert parse(denied) == (Piece("fault", "not allowed: Bash"),)
    assert parse({"type": "system", "subtype": "model_fallback", "fallback_model": "haiku"})[0].kind == "note"
    assert parse({"type": "system", "subtype": "status", "status": "compacting"})[0].kind == "note"
    assert parse({"type": "system", "subtype": "of next year"}) == ()


def test_how_it_ended() -> None:
    figures = {"type": "result", "num_turns": 4, "duration_ms": 2018, "total_cost_usd": 0.0264}
    done = {**figures, "subtype": "success", "is_error": False, "result": "All done."}
    assert parse(done) == (Piece("end", "says it is done (4 turns, 0:02, $0.03)"),)
    assert parse({**done, "permission_denials": [{"tool_name": "Bash"}]})[0].text.endswith("; 1 call was not allowed")
    assert parse({**done, "is_error": True, "result": "API Error: 529"})[0].text.startswith("ended: API Error: 529 (")
    turns = {**figures, "subtype": "error_max_turns", "errors": ["Reached maximum number of turns"]}
    assert parse(turns)[0].text.startswith("ended: Reached maximum number of turns (")


def test_a_rate_limit_is_told_unless_all_is_well() -> None:
    event = {"type": "rate_limit_event", "rate_limit_info": {"status": "rejected", "rateLimitType": "five_hour"}}
    assert parse(event) == (Piece("note", "usage limit five hour: rejected"),)
    assert parse({"type": "rate_limit_event", "rate_limit_info": {"status": "allowed"}}) == ()


@pytest.mark.parametrize("line", [b"not json", b"[1]", b'{"type":"assi', b"\xff\xfe\x00", b"[" * 100_000])
def test_what_is_no_event_is_shown_as_it_is(line: bytes) -> None:
    (piece,) = parse_transcript_line(line)
    assert piece.kind == "note"
    assert len(piece.text) <= 400


def test_a_line_of_megabytes_is_named_not_parsed() -> None:
    (piece,) = parse_transcript_line(b"x" * (9 << 20))
    assert "9,437,184 bytes" in piece.text


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
KEYS = ("message", "subtype", "rate_limit_info", "total_cost_usd", "num_turns", "permission_denials", "errors", "error")


@given(
    st.sampled_from(["assistant", "user", "system", "result", "rate_limit_event"]),
    st.dictionaries(st.sampled_from(KEYS), JSON),
)
def test_any_event_of_any_shape_gives_an_answer(kind: str, body: dict[str, object]) -> None:
    assert all(isinstance(piece.text, str) for piece in parse({**body, "type": kind}))


@given(st.binary())
def test_any_bytes_give_an_answer(line: bytes) -> None:
    parse_transcript_line(line)
