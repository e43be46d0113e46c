"""What must hold before a run may touch anything: the agents can be used, and there is room on the disk.

Invariant: nothing is created or changed, and all problems are told at once.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from orchestrate.agents.detect import AgentStatus, probe
from orchestrate.agents.settings import AgentSettings
from orchestrate.core.plan import Plan
from orchestrate.errors import InputRefused, Problem

LEAST_FREE_BYTES = 512 * 1024 * 1024


def require_ready(plan: Plan, agents: AgentSettings, environ: Mapping[str, str]) -> tuple[str, ...]:
    """What is doubtful but no reason to refuse, in words. Raises InputRefused."""
    used: dict[str, str] = {}
    for feature in plan.features.values():
        used.setdefault(feature.agent, feature.id)
    statuses = [probe(agent, agents, environ) for agent in used]
    problems = (*_agent_problems(statuses, used), *_room_problems(agents.worktrees))
    if problems:
        raise InputRefused(problems)
    # The agent may know of a sign-in that we cannot see, such as a helper program; so this is no refusal.
    return tuple(f"{s.name} does not look signed in: {s.hint}" for s in statuses if s.signed_in == "no")


def _agent_problems(statuses: Sequence[AgentStatus], used: Mapping[str, str]) -> Iterator[Problem]:
    for status in statuses:
        if not status.usable:
            where = f"agent {status.name}"
            yield Problem(f"{status.problem} (needed by {used[status.name]})", status.hint, where=where)


def _room_problems(worktrees: Path) -> Iterator[Problem]:
    place = worktrees
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    if free < LEAST_FREE_BYTES:
        yield Problem(
            f"only {free // 2**20} MiB are free where the worktrees go ({worktrees})",
            "make room, or set worktrees_dir to another disk",
        )
