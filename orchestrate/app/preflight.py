"""What must hold before a run may touch anything: the agents can be used, and there is room on the machine.

Invariant: nothing is created or changed, and all problems are told at once.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from orchestrate.agents.detect import AgentStatus, probe
from orchestrate.descriptors import (
    AGENT_DESCRIPTORS,
    OUR_DESCRIPTORS,
    agents_that_fit,
    descriptor_limit,
    descriptors_left,
    raise_descriptor_limit,
)
from orchestrate.engine.health import volume_trouble
from orchestrate.engine.vitals import MIB, read_volumes
from orchestrate.errors import InputRefused, Problem
from orchestrate.git.repository import Repository
from orchestrate.git.standing import tree_bytes, unfinished_work
from orchestrate.store.artifacts import StateDir

from .order import Order, agent_settings

LEAST_START_BYTES = 16 * MIB
"""Free space without which not even a log can be begun, whatever `disk.low_mb` says."""


def require_ready(order: Order) -> tuple[str, ...]:
    """What is doubtful but no reason to refuse, in words. Raises InputRefused."""
    agents = agent_settings(order.loaded, order.repository, Path())
    used: dict[str, str] = {}
    for feature in order.plan.features.values():
        used.setdefault(feature.agent, feature.id)
    statuses = [probe(agent, agents, order.environ) for agent in used]
    low_mb, wanted = order.loaded.settings.disk.low_mb, order.loaded.settings.max_parallel
    state = StateDir(order.repository.common_dir)
    problems = (
        *_agent_problems(statuses, used),
        *_place_problems(state.root, agents.worktrees),
        *_room_problems((state.root, agents.worktrees), low_mb, 2 * tree_bytes(order.repository, order.base.commit)),
        *_descriptor_problems(wanted),
    )
    if problems:
        raise InputRefused(problems)
    # The agent may know of a sign-in that we cannot see, such as a helper program; so this is no refusal.
    doubts = [f"{s.name} does not look signed in: {s.hint}" for s in statuses if s.signed_in == "no"]
    return (*doubts, *_fewer_at_once(wanted), *_half_done(order.repository))


def _agent_problems(statuses: Sequence[AgentStatus], used: Mapping[str, str]) -> Iterator[Problem]:
    for status in statuses:
        if not status.usable:
            where = f"agent {status.name}"
            yield Problem(f"{status.problem} (needed by {used[status.name]})", status.hint, where=where)


# ── places ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _place_problems(state: Path, worktrees: Path) -> Iterator[Problem]:
    """Directories in which nothing can be made."""
    for what, place, remedy in (
        ("the state of runs", state, "check its owner"),
        ("the worktrees", worktrees, "check its owner, or set worktrees_dir to another place"),
    ):
        there = _existing(place)
        if not there.is_dir():
            yield Problem(f"{there} is no directory, so there is no place for {what}", f"move it away: {there}")
        elif not os.access(there, os.W_OK | os.X_OK):
            why = "is on a read-only file system" if _is_read_only(there) else "cannot be written"
            yield Problem(f"{there} {why}, so there is no place for {what}", f"{remedy}: ls -ld {there}")


def _is_read_only(place: Path) -> bool:
    return any(volume.read_only for volume in read_volumes((place,)))


def _existing(place: Path) -> Path:
    while not place.exists() and place != place.parent:
        place = place.parent
    return place


def _room_problems(places: Sequence[Path], low_mb: int, trees: int) -> Iterator[Problem]:
    """trees: bytes of two checkouts, which the last of the places must hold besides."""
    least = max(low_mb * MIB, min(trees, LEAST_START_BYTES) if low_mb else 0)
    for volume in read_volumes(places):
        needed = max(least, trees) if low_mb and volume.place == str(places[-1]) else least
        if not volume.read_only and (words := volume_trouble(volume, needed)):
            said, _, _ = words.partition(";")
            yield Problem(
                f"{said}; a run needs {needed // MIB} MiB",
                "make room: orchestrate cleanup --merged, or set worktrees_dir to another disk",
            )


# ── descriptors ──────────────────────────────────────────────────────────────────────────────────────────────────


def _descriptor_problems(wanted: int) -> Iterator[Problem]:
    raise_descriptor_limit()
    if agents_that_fit(descriptors_left(), wanted) == 0:
        yield Problem(
            f"only {descriptor_limit()} files may be open at once, which is not enough for one agent",
            f"raise the limit: ulimit -n {_limit_for(wanted)}",
        )


def _fewer_at_once(wanted: int) -> Iterator[str]:
    fit = agents_that_fit(descriptors_left(), wanted)
    if fit < wanted:
        yield (
            f"only {descriptor_limit()} files may be open at once, so {fit} of {wanted} agents work at the same time; "
            f"for all of them: ulimit -n {_limit_for(wanted)}"
        )


def _limit_for(agents: int) -> int:
    return OUR_DESCRIPTORS + AGENT_DESCRIPTORS * agents + 20


# ── the repository ───────────────────────────────────────────────────────────────────────────────────────────────


def _half_done(repository: Repository) -> Iterator[str]:
    """Work of the user's that git has not finished: it stays exactly as it is, and is no part of the run."""
    if doing := unfinished_work(repository):
        yield f"{doing} is not finished in {repository.toplevel}: it stays as it is, and the run begins from commits alone"
