"""(b) What one event costs the core, at 100, 1,000 and 10,000 features: fold it and decide what follows."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from time import process_time

from orchestrate.core.decide import decide
from orchestrate.core.plan import Plan, build_plan
from orchestrate.core.policy import Policy
from orchestrate.core.state import evolve, fresh
from tests.simulation.sim import RUN, Sim, World

from .graphs import layered
from .table import Row

POLICY = Policy(max_parallel=8)
SIZES = (100, 1_000, 10_000)


def measure() -> Iterator[Row]:
    """CPU time of a whole run's log, replayed through fold and rules, per event; the best of three."""
    seconds: dict[int, float] = {}
    for size in SIZES:
        plan = build_plan(layered(size, 1, width=max(10, size // 10))[0])
        sim = Sim(plan, POLICY, World(1, 0.05), check=False, max_events=10**7)
        sim.run()
        seconds[size] = min(_replay(plan, sim) for _ in range(3)) / len(sim.log)
        yield Row(
            "b",
            f"one event at {size:,} features",
            seconds[size] * 1e6,
            "µs",
            f"at {SIZES[0]:,} features",
            seconds[SIZES[0]] * 1e6,
            2.0 if size > SIZES[0] else None,
        )


def _replay(plan: Plan, sim: Sim) -> float:
    state = fresh(RUN, plan, "base")
    gc.collect()
    started = process_time()
    for event in sim.log:
        evolve(state, event)
        decide(state, POLICY, event.at)
    return process_time() - started
