"""(e) How long a run takes on the real rules, in simulation, against what no scheduler can beat, and against waves."""

from __future__ import annotations

import random
from collections.abc import Iterator
from statistics import mean

from orchestrate.core import effects as fx
from orchestrate.core.plan import Schedule, build_plan
from orchestrate.core.policy import Policy
from tests.simulation.sim import Sim, World

from .graphs import layered
from .table import Row

GRAPHS = 40
FEATURES = 100


def measure() -> Iterator[Row]:
    for parallel in (4, 8):
        known = [_makespan(seed, parallel, known=True) for seed in range(GRAPHS)]
        unknown = [_makespan(seed, parallel, known=False) for seed in range(GRAPHS)]
        waves = [_makespan(seed, parallel, known=True, schedule="waves") for seed in range(GRAPHS)]
        bound = [_bound(seed, parallel) for seed in range(GRAPHS)]
        for what, spans, limit in (("known", known, 1.05), ("unknown", unknown, None)):
            share = mean(span / least for span, least in zip(spans, bound, strict=True))
            name = f"makespan, {parallel} agents, durations {what}"
            yield Row("e", name, share * 100, "%", "max(critical path, work ÷ agents)", 100.0, limit)
        share = mean(span / barrier for span, barrier in zip(known, waves, strict=True))
        yield Row("e", f"makespan, {parallel} agents, durations known", share * 100, "%", "wave barriers", 100.0, 1.0)


def _bound(seed: int, parallel: int) -> float:
    return build_plan(layered(FEATURES, seed)[0]).bound_s(parallel)


def _makespan(seed: int, parallel: int, *, known: bool, schedule: Schedule = "ready") -> float:
    """Seconds from the first start to the last end, when only agents take time."""
    features, takes = layered(FEATURES, seed, known=known)

    def duration(effect: fx.AnyEffect, _: random.Random) -> float:
        return takes[effect.key.feature] if isinstance(effect, fx.RunAgent) else 0.0

    sim = Sim(build_plan(features, schedule=schedule), Policy(parallel), World(duration=duration), check=False)
    began = sim.now
    sim.run()
    return sim.now - began
