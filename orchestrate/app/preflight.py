"""What must hold before a run may touch anything: the agents can be used, and there is room on the disk.

Invariant: nothing is created or changed, and all problems are told at once.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from orchestrate.agents.detect import probe
from orchestrate.agents.settings import AgentSettings
from orchestrate.core.plan import Plan
from orchestrate.errors import InputRefused, Problem

LEAST_FREE_BYTES = 512 * 1024 * 1024


def require_ready(plan: Plan, agents: AgentSettings, environ: Mapping[str, str]) -> None:
    """Raises InputRefused."""
    problems = (*_agent_problems(plan, agents, environ), *_room_problems(agents.worktrees))
    if problems:
        raise InputRefused(problems)


def _agent_problems(plan: Plan, agents: AgentSettings, environ: Mapping[str, str]) -> Iterator[Problem]:
    used: dict[str, str] = {}
    for feature in plan.features.values():
        used.setdefault(feature.agent, feature.id)
    for agent, first in used.items():
        status = probe(agent, agents, environ)
        if not status.usable:
            yield Problem(f"{status.problem} (needed by {first})", status.hint, where=f"agent {agent}")


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
