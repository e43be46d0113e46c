"""What the machine means for runs: who minds it while one is under way, how many agents fit, and doctor's rows on it.

Invariant: nothing is changed, but that this process may open as many files as it is allowed to.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Literal

from orchestrate.descriptors import agents_that_fit, descriptor_limit, descriptors_left, raise_descriptor_limit
from orchestrate.engine.health import Health, Judge, build_marks, volume_trouble
from orchestrate.engine.vitals import MIB, SHARED, file_system_of, memory_left, read_vitals, read_volumes
from orchestrate.errors import OrchestrateError
from orchestrate.git.repository import open_repository
from orchestrate.ports import Clock
from orchestrate.spec.settings import Settings
from orchestrate.store.artifacts import StateDir
from orchestrate.store.ballast import drop_ballast, keep_ballast
from orchestrate.views.figures import render_size

Row = tuple[str, Literal["ok", "note", "missing"], str, str]
"""Name, verdict, what was found, what to do about it: see doctor.Finding."""


def parallel_here(wanted: int) -> int:
    """Agents that may work at once as far as descriptors go; one at least, as a run that fits none is refused before."""
    raise_descriptor_limit()
    return max(1, agents_that_fit(descriptors_left(), wanted))


def build_health(
    state: StateDir, worktrees: Path, settings: Settings, clock: Clock, ask: Callable[[bool], str] = lambda closely: ""
) -> Health:
    """Minds the disks of the state directory and of the worktrees, and the machine; asks whether the repository can be used
    (see Health). Keeps a ballast for the log."""
    return Health(
        Judge(build_marks(settings.disk.low_mb)),
        lambda: read_vitals((state.root, worktrees)),
        clock,
        on_full=lambda: drop_ballast(state.ballast),
        on_room=lambda: keep_ballast(state.ballast),
        ask=ask,
    )


# ── doctor ───────────────────────────────────────────────────────────────────────────────────────────────────────


def machine_rows(start: Path, settings: Settings, environ: Mapping[str, str]) -> Iterator[Row]:
    """Disks, descriptors, memory and the clock, as a run would find them."""
    yield from _disk_rows(start, settings, environ)
    yield _descriptor_row(settings.max_parallel)
    yield _memory_row()


def _disk_rows(start: Path, settings: Settings, environ: Mapping[str, str]) -> Iterator[Row]:
    try:
        repository = open_repository(start, environ=environ)
    except OrchestrateError:
        return  # said as the repository's own row
    given = settings.worktrees_dir
    trees = (repository.toplevel / Path(given).expanduser()) if given else repository.default_worktrees_dir
    low = settings.disk.low_mb * MIB
    for volume in read_volumes((StateDir(repository.common_dir).root, trees)):
        if words := volume_trouble(volume, low):
            said, _, remedy = words.partition("; ")
            yield "disk", "missing", said, remedy or "make room, or set worktrees_dir to another disk"
        else:
            yield "disk", "ok", f"{render_size(volume.free)} free at {volume.place}", ""
    for place in (StateDir(repository.common_dir).root, trees):
        if (kind := file_system_of(place)) in SHARED:
            text = f"{place} is on {kind}: other hosts may share it, and its locks may not hold"
            yield "file system", "note", text, "keep the repository on a local disk, or run on one host only"


def _descriptor_row(wanted: int) -> Row:
    raise_descriptor_limit()
    limit, fit = descriptor_limit(), agents_that_fit(descriptors_left(), wanted)
    text = f"{limit} files may be open at once"
    if fit == 0:
        return "files", "missing", f"{text}: not enough for one agent", "ulimit -n 1024"
    if fit < wanted:
        return "files", "note", f"{text}: enough for {fit} of {wanted} agents", "ulimit -n 1024"
    return "files", "ok", f"{text}: enough for {wanted} agents", ""


def _memory_row() -> Row:
    left = memory_left()
    if left is None:
        return "memory", "note", f"{sys.platform} does not tell how much is left", ""
    if left < build_marks(0).memory_high:
        return "memory", "note", f"{render_size(left)} left", "close other programs, or lower max_parallel"
    return "memory", "ok", f"{render_size(left)} left", ""
