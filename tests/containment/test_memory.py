"""An agent that the system ends for want of memory is told apart from one that crashed. Needs a control group of our own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrate.supervise.record import load_record
from tests.support.engines import ROOT

LIMIT = 64 * 1024 * 1024
GLUTTON = "import os; kept = []\nwhile True: kept.append(bytearray(os.urandom(1 << 20)))"


@pytest.fixture
def small_group() -> Iterator[Path]:
    """Of the first version, as the second has to be delegated to us."""
    group = Path(f"/sys/fs/cgroup/memory/orchestrate-test-{os.getpid()}")
    try:
        group.mkdir()
        (group / "memory.limit_in_bytes").write_text(str(LIMIT))
    except OSError as error:
        pytest.skip(f"no control group can be made here: {error}")
    yield group
    group.rmdir()


def test_who_is_ended_for_want_of_memory_is_told_so(tmp_path: Path, small_group: Path) -> None:
    program = (
        "import asyncio, os, sys; from pathlib import Path; from orchestrate.supervise.door import Command, start\n"
        "here = Path(sys.argv[1])\n"
        "async def run():\n"
        "    null = os.open(os.devnull, os.O_WRONLY)\n"
        "    command = Command((sys.executable, '-c', sys.argv[2]), here, {}, 't.1', here / 'attempt.lock', here / 'x.exit')\n"
        "    await (await start(command, stdout=null, stderr=null)).ended\n"
        "asyncio.run(run())"
    )
    join = f'echo $$ > {small_group}/cgroup.procs && exec "$@"'
    argv = ["/bin/sh", "-c", join, "sh", sys.executable, "-c", program, str(tmp_path), GLUTTON]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    record = load_record(tmp_path / "x.exit")
    assert record is not None and (record.how, record.exit_code, record.oom) == ("exited", -9, True)
