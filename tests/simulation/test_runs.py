"""Whole runs under Hypothesis: order, limits and the single integrator hold, every run ends, the log alone rebuilds the state."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrate.core import events as ev
from orchestrate.core.plan import Command, Feature, Plan, build_plan
from orchestrate.core.policy import Policy

from .sim import Sim, World, replay


@st.composite
def plans(draw: st.DrawFn, largest: int = 9) -> Plan:
    count = draw(st.integers(1, largest))
    features = []
    for i in range(count):
        earlier = [f"f{j}" for j in range(i)]
        features.append(
            Feature(
                f"f{i}",
                depends_on=tuple(sorted(draw(st.sets(st.sampled_from(earlier), max_size=3)))) if i else (),
                priority=draw(st.integers(0, 2)),
                verify=(Command("unit", "true"),) if draw(st.booleans()) else (),
                max_attempts=draw(st.integers(1, 3)),
                max_reworks=draw(st.integers(0, 2)),
                max_cost_usd=draw(st.sampled_from([None, 1.5])),
            )
        )
    return build_plan(
        features,
        start_on=draw(st.sampled_from(["verified", "integrated"])),
        schedule=draw(st.sampled_from(["ready", "waves"])),
    )


worlds = st.builds(World, seed=st.integers(0, 10**6), p_trouble=st.sampled_from([0.0, 0.1, 0.3, 0.6, 1.0]))
policies = st.builds(Policy, max_parallel=st.integers(1, 4), max_cost_usd=st.sampled_from([None, 3.0]))


def assert_nobody_is_forgotten(sim: Sim) -> None:
    """Every feature has an end that is true, and what is called integrated is in the branch."""
    state = sim.state
    assert state.ended is not None
    for fid, f in state.features.items():
        needs = state.plan.features[fid].depends_on
        if f.ended == "integrated":
            assert str(state.key(fid)) in sim.world.published
            assert all(state.features[d].ended == "integrated" for d in needs)
        elif f.ended == "skipped":
            assert any(state.features[d].ended not in ("integrated", None) for d in needs)
        elif f.ended is None:
            assert state.ended.status in ("limit", "halted", "interrupted")
    assert (state.ended.status == "done") == all(f.ended == "integrated" for f in state.features.values())
    integrated = {fid for fid, f in state.features.items() if f.ended == "integrated"}
    assert {key.split("/")[1] for key in sim.world.published} == integrated


@given(plans(), worlds, policies)
def test_every_run_ends_and_the_log_alone_rebuilds_it(plan: Plan, world: World, policy: Policy) -> None:
    sim = Sim(plan, policy, world)
    end = sim.run()
    assert replay(plan, sim.log) == end
    assert_nobody_is_forgotten(sim)
    if world.p_trouble == 0.0 and policy.max_cost_usd is None and all(f.max_cost_usd is None for f in plan.features.values()):
        assert end.ended is not None and end.ended.status == "done"


@given(plans(), worlds, policies, st.frozensets(st.integers(2, 80), max_size=4))
def test_a_crash_at_any_event_is_survived(plan: Plan, world: World, policy: Policy, crashes: frozenset[int]) -> None:
    sim = Sim(plan, policy, world, crash_at=crashes)
    end = sim.run()
    assert replay(plan, sim.log) == end
    assert_nobody_is_forgotten(sim)


@given(plans(), worlds, st.integers(3, 60))
def test_a_stopped_run_loses_nothing_and_goes_on(plan: Plan, world: World, stop_at: int) -> None:
    first = Sim(plan, Policy(2), world, stop_at=stop_at)
    first.run()
    verified = {fid for fid, f in first.state.features.items() if f.head}
    paid = sum(isinstance(e, ev.InvocationFinished) and e.end == "done" for e in first.log)
    second = Sim(plan, Policy(2), world, log=first.log, now=first.now)
    second.state = replay(plan, first.log)
    second._live()
    assert_nobody_is_forgotten(second)
    assert verified <= {fid for fid, f in second.state.features.items() if f.head}
    assert sum(isinstance(e, ev.InvocationFinished) and e.end == "done" for e in second.log) >= paid


@given(plans(), worlds)
def test_an_attempt_that_finished_is_never_paid_for_again(plan: Plan, world: World) -> None:
    sim = Sim(plan, Policy(3), world, crash_at=frozenset(range(5, 200, 7)))
    sim.run()
    done = [(e.feature, e.attempt, e.invocation) for e in sim.log if isinstance(e, ev.InvocationFinished)]
    assert len(done) == len(set(done))
    after_done: dict[str, bool] = {}
    for e in sim.log:
        if isinstance(e, ev.AttemptVerified):
            after_done[e.feature] = True
        if isinstance(e, ev.InvocationStarted):
            assert not after_done.get(e.feature), "an agent was started for work that was verified"


def test_the_same_seed_gives_the_same_log() -> None:
    plan = build_plan([Feature("a"), Feature("b", depends_on=("a",)), Feature("c", depends_on=("a",)), Feature("d", depends_on=("b", "c"))])
    logs = []
    for _ in range(2):
        sim = Sim(plan, Policy(2), World(7, 0.3))
        sim.run()
        logs.append(sim.log)
    assert logs[0] == logs[1]


@given(st.integers(0, 10**6))
@settings(max_examples=20)
def test_highest_rank_goes_first(seed: int) -> None:
    r = random.Random(seed)
    names = [f"f{i}" for i in range(12)]
    plan = build_plan(
        Feature(n, depends_on=tuple(r.sample(names[:i], min(i, r.randint(0, 2))))) for i, n in enumerate(names)
    )
    sim = Sim(plan, Policy(1), World(seed))
    sim.run()
    starts = [e.feature for e in sim.log if isinstance(e, ev.AttemptStarted)]
    done: set[str] = set()
    for fid in starts:
        could = [n for n in names if n not in done and set(plan.features[n].depends_on) <= done]
        assert plan.rank[fid] == max(plan.rank[n] for n in could)
        done.add(fid)
