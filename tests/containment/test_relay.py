"""Output on its way into a file and to the engine: cut anywhere, of any length, with secrets anywhere in it."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrate.supervise import relay as module
from orchestrate.supervise.files import CappedFile
from orchestrate.supervise.relay import Relay

SECRETS = (b"hunter2hunter2", b"hunter2-")


def relayed(path: Path, chunks: list[bytes], *, read: bool = True) -> tuple[bytes, bytes]:
    """What is in the file, and what the engine got."""
    source, writes = os.pipe()
    reads, sink = os.pipe()
    one = Relay(source, sink, CappedFile(str(path)), SECRETS)
    for chunk in chunks:
        os.write(writes, chunk)
        one.pull()
    os.close(writes)
    while one.source >= 0:
        one.pull()
    if not read:
        os.close(reads)
        one.push()
        return path.read_bytes(), b""
    with open(reads, "rb") as file:
        one.push()
        assert not one.wants_output, "these are short"
        got = file.read()
    return path.read_bytes() if path.exists() else b"", got


pieces = st.lists(st.sampled_from([b"hunter2", b"hunter2-", b"-", b"x", b"\n", b"words", b"\xff\0"]), max_size=40)


@given(pieces, st.sampled_from([1, 20, 1 << 20]))
def test_the_engine_gets_everything_and_the_file_no_secret(chunks: list[bytes], longest: int) -> None:
    before, module.LONGEST_PART = module.LONGEST_PART, longest
    try:
        with TemporaryDirectory() as directory:
            written, got = relayed(Path(directory) / "out", chunks)
    finally:
        module.LONGEST_PART = before
    data = b"".join(chunks)
    assert got == data
    assert not any(secret in written for secret in SECRETS)
    if not any(secret in data for secret in SECRETS):
        assert written == data


def test_a_line_is_held_until_it_is_whole_and_a_very_long_one_is_not(tmp_path: Path) -> None:
    source, writes = os.pipe()
    reads, sink = os.pipe()
    os.set_blocking(reads, False)
    one = Relay(source, sink, CappedFile(str(tmp_path / "out")), ())
    os.write(writes, b"begun, ")
    one.pull()
    with pytest.raises(BlockingIOError):
        os.read(reads, 1)
    os.write(writes, b"done\nnext")
    one.pull()
    assert os.read(reads, 100) == (tmp_path / "out").read_bytes() == b"begun, done\n"
    for _ in range(module.LONGEST_PART // 4096 + 1):
        os.write(writes, b"x" * 4096)
        one.pull()
    assert (tmp_path / "out").stat().st_size > module.LONGEST_PART
    one.end_source()
    one.drop_sink()
    os.close(reads)
    os.close(writes)


def test_an_engine_that_is_gone_is_no_error(tmp_path: Path) -> None:
    assert relayed(tmp_path / "out", [b"a\n", b"b\n"], read=False)[0] == b"a\nb\n"


def test_it_reads_no_more_than_may_wait(tmp_path: Path) -> None:
    source, writes = os.pipe()
    reads, sink = os.pipe()
    one = Relay(source, sink, CappedFile(str(tmp_path / "out")), ())
    passed = 0
    while one.wants_input:
        passed += os.write(writes, b"x" * 4095 + b"\n")
        one.pull()
    assert module.AHEAD <= passed < module.AHEAD + (1 << 20)
    one.end_source()
    with open(reads, "rb", buffering=0) as file:
        got = 0
        while one.sink >= 0:
            got += len(file.read(1 << 20))
            one.push()
        assert got + len(file.readall()) == passed == (tmp_path / "out").stat().st_size
    os.close(writes)
