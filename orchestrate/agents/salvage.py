"""What became of an agent whose engine died: read from the output that it left behind.

Invariant: a result that the agent had already given counts as it is, so that finished work is never paid for twice;
without one, what its stream says of tokens is the (estimated) cost.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from .codec import Codec, Ending, ExitInfo
from .pipes import CHUNK, LineSplitter
from .transcript import Transcript


def salvage_ending(codec: Codec, output: Path) -> Ending:
    """The ending as far as the file tells; a missing file is an agent that never spoke.

    Where the agent had not even named its session, there is none to go on with (session_lost).
    """
    transcript, splitter = Transcript(), LineSplitter()
    try:
        with output.open("rb") as file:
            while chunk := file.read(CHUNK):
                _add(codec, transcript, splitter.feed(chunk))
            _add(codec, transcript, splitter.rest())
    except FileNotFoundError:
        pass
    if transcript.result is not None:
        return codec.classify(transcript, ExitInfo(0))
    ending = codec.classify(transcript, ExitInfo(-9, ended_by_us="interrupt"))
    return replace(ending, why="the engine was stopped", session_lost=not transcript.session)


def _add(codec: Codec, transcript: Transcript, block: bytes) -> None:
    for line in block.split(b"\n"):
        for event in codec.decode(line):
            transcript.add(event)
