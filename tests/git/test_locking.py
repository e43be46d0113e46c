"""One at a time: among tasks, among holders that know nothing of each other, and after a holder was killed."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrate.git.locking import FileLock
from orchestrate.git.portblocks import PortBlocks
from tests.git.conftest import RUN, AttemptKey

HOLD = (
    "import fcntl, sys; f = open(sys.argv[1], 'w'); fcntl.flock(f, fcntl.LOCK_EX); print('held', flush=True); input()"
)


@pytest.mark.parametrize("separate", [False, True])
async def test_at_most_one_holder(tmp_path: Path, separate: bool) -> None:
    path = tmp_path / "new" / "lock"
    shared = FileLock(path)
    inside, most, entered = 0, 0, 0

    async def enter() -> None:
        nonlocal inside, most, entered
        async with (FileLock(path) if separate else shared).held():
            inside += 1
            most = max(most, inside)
            entered += 1
            await asyncio.sleep(0)
            inside -= 1

    await asyncio.gather(*(enter() for _ in range(20)))
    assert (entered, most) == (20, 1)


async def test_another_process_is_waited_for_until_it_dies(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05), FileLock(path).held():
                pass
        holder.kill()
    async with asyncio.timeout(10), FileLock(path).held():
        assert path.exists()


def test_blocks_of_ports_do_not_overlap_and_remember_who_holds_them() -> None:
    keys = [AttemptKey(RUN, f"f{n}", 1) for n in range(4)]
    blocks = PortBlocks(42_500, 5, {keys[0]: 42_500})
    taken = [blocks.take(key) for key in keys]
    assert taken[0] == 42_500 and len(set(taken)) == 4
    assert all((port - 42_500) % 5 == 0 for port in taken)
    assert blocks.take(keys[2]) == taken[2] == blocks.held_by(keys[2])
    assert PortBlocks(42_500, 0).take(keys[0]) == 0
