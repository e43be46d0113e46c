"""Feature list → plan: graph, waves, ranks, critical path. The only module that imports networkx (inside functions).

Invariant: a Plan is acyclic, its features are in topological order, and every dependency is a member.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from orchestrate.errors import OrchestrateError

StartOn = Literal["verified", "integrated"]
Schedule = Literal["ready", "waves"]


@dataclass(frozen=True, slots=True)
class Command:
    """A shell command of the user: a setup step or a check. timeout_s in seconds of wall clock."""

    name: str
    run: str
    timeout_s: float = 600.0
    when: Literal["feature", "integration", "both"] = "both"


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a feature is expected to take, and where that figure comes from (`feature list` or `default`)."""

    tokens: int
    cost_usd: float
    duration_s: float
    source: str


@dataclass(frozen=True, slots=True)
class Feature:
    """One unit of work, fully resolved: prompt text is here, defaults of the project are applied."""

    id: str
    name: str = ""
    prompt: str = ""
    description: str = ""
    prompt_file: str = ""
    """As the user wrote it, for display; the text is in `prompt`."""
    depends_on: tuple[str, ...] = ()
    priority: int = 0
    """The user's wish; lower comes first. Breaks ties between equal ranks."""
    tags: tuple[str, ...] = ()
    agent: str = "claude"
    model: str = ""
    setup: tuple[Command, ...] = ()
    verify: tuple[Command, ...] = ()
    touches: tuple[str, ...] = ()
    """Globs of the files that may change; empty: any."""
    expects_changes: bool = True
    timeout_s: float = 1800.0
    """Wall clock of all agent work of one attempt, in seconds."""
    max_attempts: int = 2
    max_reworks: int = 2
    max_cost_usd: float | None = None
    estimate: Estimate = Estimate(40_000, 0.0, 300.0, "default")
    creates: tuple[str, ...] = ()
    uses: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = ()


class CycleError(OrchestrateError):
    """The dependencies go round in a circle."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A validated graph.

    features: by id, in topological order. waves: topological generations, ids sorted inside each.
    rank: seconds of the longest chain from the start of a feature to the end of its last dependent (its own time
    included), so that a high rank must start early. dependents: direct ones, in plan order.
    """

    features: Mapping[str, Feature]
    waves: tuple[tuple[str, ...], ...]
    rank: Mapping[str, float]
    dependents: Mapping[str, tuple[str, ...]]
    critical_path: tuple[str, ...] = ()
    start_on: StartOn = "verified"
    schedule: Schedule = "ready"
    wave_of: Mapping[str, int] = field(default_factory=dict)
    """0-based wave number of each feature."""

    @property
    def work_s(self) -> float:
        """Sum of the estimated durations: what one worker would need."""
        return sum(f.estimate.duration_s for f in self.features.values())

    @property
    def critical_s(self) -> float:
        """Duration of the critical path: what no number of workers can beat."""
        return sum(self.features[i].estimate.duration_s for i in self.critical_path)

    def bound_s(self, parallel: int) -> float:
        """Lower bound of the wall time with that many agents: max(critical path, work ÷ parallel)."""
        return max(self.critical_s, self.work_s / max(1, parallel))


def build_plan(features: Iterable[Feature], *, start_on: StartOn = "verified", schedule: Schedule = "ready") -> Plan:
    """Features → plan. Ids are unique and dependencies known (the loader reported those already).

    Raises CycleError, with the cycle in its message.
    """
    import networkx as nx

    by_id = {f.id: f for f in features}
    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_nodes_from(by_id)
    graph.add_edges_from((dep, f.id) for f in by_id.values() for dep in f.depends_on)
    try:
        waves = tuple(tuple(sorted(generation)) for generation in nx.topological_generations(graph))
    except nx.NetworkXUnfeasible:
        circle = [edge[0] for edge in nx.find_cycle(graph)]
        raise CycleError(
            "the dependencies form a cycle: " + " → ".join([*circle, circle[0]]),
            hint="remove one of these dependencies",
        ) from None
    wave_of = {fid: number for number, wave in enumerate(waves) for fid in wave}
    order = [fid for wave in waves for fid in wave]
    dependents = {fid: tuple(sorted(graph.successors(fid), key=lambda d: (wave_of[d], d))) for fid in order}
    rank: dict[str, float] = {}
    for fid in reversed(order):
        rank[fid] = by_id[fid].estimate.duration_s + max((rank[d] for d in dependents[fid]), default=0.0)
    return Plan(
        features={fid: by_id[fid] for fid in order},
        waves=waves,
        rank=rank,
        dependents=dependents,
        critical_path=_critical_path(waves, rank, dependents),
        start_on=start_on,
        schedule=schedule,
        wave_of=wave_of,
    )


def _critical_path(
    waves: tuple[tuple[str, ...], ...], rank: Mapping[str, float], dependents: Mapping[str, tuple[str, ...]]
) -> tuple[str, ...]:
    """Follow the highest rank from a source to a sink; ties by id."""
    if not waves:
        return ()
    here = min(waves[0], key=lambda fid: (-rank[fid], fid))
    path = [here]
    while dependents[here]:
        here = min(dependents[here], key=lambda fid: (-rank[fid], fid))
        path.append(here)
    return tuple(path)
