"""What became of an agent whose engine died: read from the output that it left behind, and from its supervisor's record.

Invariant: a result that the agent had already given counts as it is, so that finished work is never paid for twice;
without one, what its stream says of tokens is the (estimated) cost.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from orchestrate.supervise.files import rejoin
from orchestrate.supervise.record import Record, load_record, record_path

from .codec import Codec, EndedByUs, Ending, ExitInfo
from .drive import OUT_OF_MEMORY, STDERR_TAIL
from .pipes import CHUNK, LineSplitter
from .transcript import Transcript

ENGINE_GONE = "the engine was stopped"
"""Why of an agent that nobody ended but the death of its engine."""


@dataclass(frozen=True, slots=True)
class Salvaged:
    """exit_code, duration_s: None where nobody was left to see it."""

    ending: Ending
    exit_code: int | None = None
    duration_s: float | None = None
    oom: bool = False


def salvage(codec: Codec, output: Path, errors: Path) -> Salvaged:
    """The ending as far as files tell; a missing output is an agent that never spoke.

    Where the agent was cut off before it had even named its session, there is none to go on with (session_lost).
    """
    record = load_record(record_path(output))
    transcript = _transcript(codec, output)
    if record is None or record.exit_code is None:
        return Salvaged(_ending(codec, transcript, ExitInfo(-9, ended_by_us="interrupt")))
    exit_info = ExitInfo(record.exit_code, _tail(errors), _by_us(record))
    ending = _ending(codec, transcript, exit_info)
    is_oom = record.oom and ending.end == "killed"
    if is_oom:
        ending = replace(ending, why=OUT_OF_MEMORY)
    return Salvaged(ending, record.exit_code, record.duration_s, is_oom)


def _ending(codec: Codec, transcript: Transcript, exit_info: ExitInfo) -> Ending:
    if transcript.result is not None:
        return codec.classify(transcript, ExitInfo(0))
    ending = codec.classify(transcript, exit_info)
    if exit_info.ended_by_us != "interrupt":
        return ending
    return replace(ending, why=ENGINE_GONE, session_lost=not transcript.session)


def _by_us(record: Record) -> EndedByUs:
    match record.how:
        case "exited":
            return ""
        case "timeout":
            return "timeout"
        case _:
            return "interrupt"


def _transcript(codec: Codec, output: Path) -> Transcript:
    transcript, splitter = Transcript(), LineSplitter()
    rejoin(str(output))
    try:
        with output.open("rb") as file:
            while chunk := file.read(CHUNK):
                _add(codec, transcript, splitter.feed(chunk))
            _add(codec, transcript, splitter.rest())
    except FileNotFoundError:
        pass
    return transcript


def _tail(errors: Path) -> str:
    try:
        return errors.read_bytes()[-STDERR_TAIL:].decode("utf-8", "replace")
    except OSError:
        return ""


def _add(codec: Codec, transcript: Transcript, block: bytes) -> None:
    for line in block.split(b"\n"):
        for event in codec.decode(line):
            transcript.add(event)
