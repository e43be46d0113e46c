"""The long run: seeded plans × worlds × crashes × requests, without Hypothesis' search, as many as there is time for.

`python -m tests.simulation --seeds 100000 [--first N] [--processes N]`. A failing seed is printed; `--first SEED --seeds 1`
repeats it. One run in twenty goes through the store on disk.
"""

from __future__ import annotations

import argparse
import random
import sys
import traceback
from concurrent.futures import ProcessPoolExecutor

from orchestrate.core.plan import Command, Feature, Plan, build_plan
from orchestrate.core.policy import Policy

from .kept import KeptOnDisk
from .sim import RUN, Sim, World
from .test_runs import HARMLESS, assert_nobody_is_forgotten, every

ON_DISK = 20
PATTERNS = (("cancel",), ("drain", "cancel"), ("pause now", "resume"), ("disk", "pause", "room", "resume"), ("again",))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--processes", type=int, default=2)
    asked = parser.parse_args()
    seeds = range(asked.first, asked.first + asked.seeds)
    failed = events = 0
    with ProcessPoolExecutor(asked.processes) as pool:
        for seed, count, problem in pool.map(live_through, seeds, chunksize=50):
            events += count
            if problem:
                failed += 1
                print(f"seed {seed}:\n{problem}", file=sys.stderr)
    print(f"{len(seeds):,} runs, {events:,} events, {failed} failed")
    return 1 if failed else 0


def live_through(seed: int) -> tuple[int, int, str]:
    """The seed, how many events its run had, and what was wrong."""
    r = random.Random(seed)
    plan = some_plan(r)
    world = World(seed, r.choice((0.0, 0.1, 0.3, 0.6, 1.0)))
    policy = Policy(r.randint(1, 4), r.choice((None, 3.0)))
    crashes = frozenset(r.sample(range(2, 120), r.randint(0, 5)))
    asked = some_requests(r)
    try:
        if seed % ON_DISK:
            sim = Sim(plan, policy, world, crash_at=crashes, ask_at=asked)  # type: ignore[arg-type]
            sim.run()
        else:
            with KeptOnDisk() as store:
                sim = Sim(plan, policy, world, crash_at=crashes, ask_at=asked, store=store)  # type: ignore[arg-type]
                sim.run()
                assert store.read(RUN) == sim.log
        assert_nobody_is_forgotten(sim)
    except Exception:  # noqa: BLE001  whatever it is, it is this seed's finding
        return seed, 0, traceback.format_exc(limit=-3)
    return seed, len(sim.log), ""


def some_plan(r: random.Random) -> Plan:
    features = []
    for i in range(r.randint(1, 12)):
        needs = tuple(sorted(r.sample([f"f{j}" for j in range(i)], k=min(i, r.randint(0, 3)))))
        checks = (Command("unit", "true"),) if r.random() < 0.6 else ()
        features.append(
            Feature(
                f"f{i}", depends_on=needs, priority=r.randint(0, 2), verify=checks, max_attempts=r.randint(1, 3),
                max_reworks=r.randint(0, 2), max_cost_usd=r.choice((None, 1.5)),
            )
        )  # fmt: skip
    return build_plan(features, start_on=r.choice(("verified", "integrated")), schedule=r.choice(("ready", "waves")))


def some_requests(r: random.Random) -> dict[int, str]:
    kinds = (*HARMLESS, "give up", "again", "again")
    if r.random() < 0.3:
        return every(r.randint(2, 40), r.choice(PATTERNS))
    return {r.randint(3, 150): r.choice(kinds) for _ in range(r.randint(0, 12))}


if __name__ == "__main__":
    sys.exit(main())
