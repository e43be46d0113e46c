"""Random layered graphs with skewed durations, the same for the same seed."""

from __future__ import annotations

import random

from orchestrate.core.plan import Estimate, Feature

MEDIAN_S = 300.0
SKEW = 0.8
"""Sigma of the lognormal durations: one in twenty takes almost four times the median, as agents do."""


def layered(count: int, seed: int, *, width: int = 0, known: bool = True) -> tuple[list[Feature], dict[str, float]]:
    """Features and how long each really takes, in seconds. known: whether their estimates say so.

    A feature depends on one to three of the layer before it; width 0: slim and broad graphs, with layers
    of 2 to 8, 16 or 32, drawn each time.
    """
    r = random.Random(seed)
    features: list[Feature] = []
    takes: dict[str, float] = {}
    before: list[str] = []
    widest = r.choice((8, 16, 32))
    while len(features) < count:
        layer = []
        for _ in range(min(width or r.randint(2, widest), count - len(features))):
            fid = f"f{len(features):05d}"
            needs = tuple(sorted(r.sample(before, min(len(before), r.randint(1, 3)))))
            takes[fid] = MEDIAN_S * r.lognormvariate(0.0, SKEW)
            estimate = Estimate(40_000, 0.0, takes[fid] if known else MEDIAN_S, "benchmark")
            features.append(Feature(fid, depends_on=needs, estimate=estimate))
            layer.append(fid)
        before = layer
    return features, takes
