"""Lines out of chunks."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from orchestrate.agents.pipes import LineSplitter


@given(st.lists(st.binary(max_size=30).map(lambda b: b.replace(b"x", b"\n")), max_size=20))
def test_splitting_changes_nothing(chunks: list[bytes]) -> None:
    splitter = LineSplitter()
    blocks = [splitter.feed(chunk) for chunk in chunks]
    assert all(block == b"" or block.endswith(b"\n") for block in blocks)
    assert b"".join(blocks) + splitter.rest() == b"".join(chunks)


def test_a_line_over_the_limit_is_left_out_alone() -> None:
    splitter = LineSplitter(limit=10)
    fed = [splitter.feed(chunk) for chunk in (b"a\n", b"12345678", b"90123", b"more", b"end\nb\nc", b"\n")]
    assert fed == [b"a\n", b"", b"", b"", b"b\n", b"c\n"]
    assert splitter.dropped == 1
