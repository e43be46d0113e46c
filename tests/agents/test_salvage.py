"""What is made of the output of an agent whose engine died."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrate.agents.claude import ClaudeCodec
from orchestrate.agents.codec import Ending
from orchestrate.agents.salvage import Salvaged, salvage
from orchestrate.supervise.files import write_record
from tests.contract.test_claude_codec import DATA, load_recording

FINISHED = DATA / "03-work-bypass.329.jsonl"


def salvaged(output: Path, **record: object) -> Salvaged:
    """record: what the supervisor wrote, if it came to that."""
    if record:
        assert not write_record(str(output.with_suffix(".exit")), record, durable=False)
    return salvage(ClaudeCodec(), output, output.with_suffix(".stderr"))


def salvage_ending(output: Path) -> Ending:
    return salvaged(output).ending


def cut(output: Path) -> None:
    """In the middle of the line that holds the result."""
    lines = output.read_bytes().splitlines(keepends=True)
    at = next(n for n, line in enumerate(lines) if b'"type": "result"' in line or b'"type":"result"' in line)
    output.write_bytes(b"".join(lines[: at - 1]) + lines[at][:40])


@pytest.fixture
def output(tmp_path: Path) -> Path:
    """The lines of a session that came to its end."""
    path = tmp_path / "agent-1.jsonl"
    path.write_bytes(b"\n".join(load_recording(FINISHED).lines) + b"\n")
    return path


def test_a_result_that_was_given_counts_as_it_is(output: Path) -> None:
    ending = salvage_ending(output)
    assert (ending.end, ending.cost_estimated) == ("done", False)
    assert ending.cost_usd == load_recording(FINISHED).judged().cost_usd > 0


def test_a_stream_that_was_cut_is_interrupted_and_its_cost_estimated(output: Path) -> None:
    cut(output)
    ending = salvage_ending(output)
    assert (ending.end, ending.session_lost, ending.cost_estimated) == ("interrupted", False, True)
    assert ending.cost_usd > 0


@pytest.mark.parametrize("content", [None, b"", b"garbage\n\xff\n"])
def test_an_agent_that_never_spoke_has_no_session_and_cost_nothing(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "agent-1.jsonl"
    if content is not None:
        path.write_bytes(content)
    ending = salvage_ending(path)
    assert (ending.end, ending.session_lost, ending.cost_usd) == ("interrupted", True, 0.0)


def test_a_result_counts_however_its_process_ended_later(output: Path) -> None:
    was = salvaged(output, how="engine_gone", exit_code=-9, duration_s=12.5)
    assert (was.ending.end, was.exit_code, was.duration_s) == ("done", -9, 12.5)


@pytest.mark.parametrize(
    ("record", "end", "words"),
    [
        ({"how": "engine_gone", "exit_code": -9}, "interrupted", "the engine was stopped"),
        ({"how": "lost", "exit_code": -9}, "interrupted", "the engine was stopped"),
        ({"how": "timeout", "exit_code": -15}, "timed_out", "time was used up"),
        ({"how": "exited", "exit_code": 3}, "crashed", "exit code 3"),
        ({"how": "exited", "exit_code": -11}, "killed", "SIGSEGV"),
        ({"how": "exited", "exit_code": -9, "oom": True}, "killed", "ran out of memory"),
    ],
)
def test_without_a_result_the_record_tells_how_it_ended(
    output: Path, record: dict[str, object], end: str, words: str
) -> None:
    cut(output)
    was = salvaged(output, duration_s=3.0, **record)
    assert was.ending.end == end and words in was.ending.why
    assert (was.exit_code, was.duration_s, was.oom) == (record["exit_code"], 3.0, "oom" in record)
    assert not was.ending.session_lost


def test_the_last_words_on_stderr_are_heard(output: Path) -> None:
    output.write_bytes(b"")
    output.with_suffix(".stderr").write_text("Error: no such model\n")
    was = salvaged(output, how="exited", exit_code=1, duration_s=0.1)
    assert (was.ending.end, was.ending.why) == ("config", "Error: no such model")


def test_the_end_of_a_long_output_whose_writer_was_killed_is_found(output: Path) -> None:
    lines = output.read_bytes().splitlines(keepends=True)
    output.write_bytes(b"".join(lines[:2]))
    Path(f"{output}.part0").write_bytes(b"".join(lines[2:]))
    assert salvage_ending(output).end == "done"
    assert not Path(f"{output}.part0").exists()
