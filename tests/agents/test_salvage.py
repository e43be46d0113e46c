"""What is made of the output of an agent whose engine died."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrate.agents.claude import ClaudeCodec
from orchestrate.agents.salvage import salvage_ending
from tests.contract.test_claude_codec import DATA, load_recording

FINISHED = DATA / "03-work-bypass.329.jsonl"


@pytest.fixture
def output(tmp_path: Path) -> Path:
    """The lines of a session that came to its end."""
    path = tmp_path / "agent-1.jsonl"
    path.write_bytes(b"\n".join(load_recording(FINISHED).lines) + b"\n")
    return path


def test_a_result_that_was_given_counts_as_it_is(output: Path) -> None:
    ending = salvage_ending(ClaudeCodec(), output)
    assert (ending.end, ending.cost_estimated) == ("done", False)
    assert ending.cost_usd == load_recording(FINISHED).judged().cost_usd > 0


def test_a_stream_that_was_cut_is_interrupted_and_its_cost_estimated(output: Path) -> None:
    lines = output.read_bytes().splitlines(keepends=True)
    cut = next(n for n, line in enumerate(lines) if b'"type": "result"' in line or b'"type":"result"' in line)
    output.write_bytes(b"".join(lines[: cut - 1]) + lines[cut][:40])
    ending = salvage_ending(ClaudeCodec(), output)
    assert (ending.end, ending.session_lost, ending.cost_estimated) == ("interrupted", False, True)
    assert ending.cost_usd > 0


@pytest.mark.parametrize("content", [None, b"", b"garbage\n\xff\n"])
def test_an_agent_that_never_spoke_has_no_session_and_cost_nothing(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "agent-1.jsonl"
    if content is not None:
        path.write_bytes(content)
    ending = salvage_ending(ClaudeCodec(), path)
    assert (ending.end, ending.session_lost, ending.cost_usd) == ("interrupted", True, 0.0)
