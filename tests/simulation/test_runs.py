"""Whole runs under Hypothesis: order, limits and the single integrator hold, every run ends, the log alone rebuilds the state.

The invariants that hold after each event are in sim.Sim.
"""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from orchestrate.core import events as ev
from orchestrate.core.plan import Command, Feature, Plan, build_plan
from orchestrate.core.policy import Policy

from .conftest import simulated
from .kept import KeptOnDisk
from .sim import RUN, Sim, World, replay


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


def every(step: int, kinds: tuple[str, ...]) -> dict[int, str]:
    """What is done to the run at each step-th event, in turn; not for ever, so that it can end."""
    return {at: kinds[i % len(kinds)] for i, at in enumerate(range(step, 40 * step, step))}


crashes = st.frozensets(st.integers(2, 80), max_size=4) | st.builds(
    lambda step: frozenset(every(step, ("crash",))), st.integers(5, 40)
)
HARMLESS = ("drain", "cancel", "pause", "pause now", "disk", "resume", "room", "answer")
"""Requests that cost time, and nothing else."""

stops = st.dictionaries(st.integers(3, 80), st.sampled_from(HARMLESS), max_size=6) | st.builds(
    every,
    st.integers(7, 40),
    st.sampled_from([("cancel",), ("drain", "cancel"), ("pause now", "resume"), ("disk", "pause", "room", "resume")]),
)
requests = st.dictionaries(
    st.integers(3, 120), st.sampled_from([*HARMLESS, "give up", "again", "again"]), max_size=12
) | st.builds(every, st.integers(2, 9), st.sampled_from([("again",), ("again", "give up"), ("again", "pause now")]))


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
            assert state.ended.status == "limit"
        else:
            assert f.tries <= state.plan.features[fid].max_attempts
    assert (state.ended.status == "done") == all(f.ended == "integrated" for f in state.features.values())
    spent = sum(e.cost_usd for e in sim.log if isinstance(e, ev.InvocationFinished))
    assert abs(state.ledger.spent_usd - spent) < 1e-6, "no cost is lost"
    assert replay(sim.plan, sim.log) == state, "the log alone gives the state"


@simulated
@given(plans(), worlds, policies)
def test_every_run_ends_and_what_it_says_is_so(plan: Plan, world: World, policy: Policy) -> None:
    sim = Sim(plan, policy, world)
    sim.run()
    assert_nobody_is_forgotten(sim)
    integrated = {fid for fid, f in sim.state.features.items() if f.ended == "integrated"}
    failed_after_landing = {key.split("/")[1] for key in world.published} - integrated
    lost = {e.feature for e in sim.log if isinstance(e, ev.EffectLost)}
    assert failed_after_landing <= lost, "only a publication of which the news was lost again and again goes unknown"


@simulated
@given(plans(), worlds, policies, crashes, stops)
def test_crashes_and_stops_at_any_event_are_survived(
    plan: Plan, world: World, policy: Policy, crash_at: frozenset[int], ask_at: dict[int, str]
) -> None:
    """What the next engine knows comes from the store on disk."""
    with KeptOnDisk() as store:
        sim = Sim(plan, policy, world, crash_at=crash_at, ask_at=ask_at, store=store)  # type: ignore[arg-type]
        sim.run()
        assert store.read(RUN) == sim.log
    assert_nobody_is_forgotten(sim)


@simulated
@given(plans(), worlds, policies, crashes, requests)
def test_whatever_people_ask_for_in_whatever_order(
    plan: Plan, world: World, policy: Policy, crash_at: frozenset[int], ask_at: dict[int, str]
) -> None:
    sim = Sim(plan, policy, world, crash_at=crash_at, ask_at=ask_at)  # type: ignore[arg-type]
    sim.run()
    assert_nobody_is_forgotten(sim)
    given_up = {f.id for f in sim.state.features.values() if f.ended == "cancelled"}
    asked = [e for e in sim.log if isinstance(e, ev.CancelRequested)]
    assert all(any(not e.features or fid in e.features for e in asked) for fid in given_up)
    assert not sim.state.cancelled and not sim.state.reopening


@simulated
@given(plans(), st.integers(0, 10**6), st.integers(1, 4), crashes, stops)
def test_what_we_did_to_it_ourselves_is_never_held_against_a_feature(
    plan: Plan, seed: int, parallel: int, crash_at: frozenset[int], ask_at: dict[int, str]
) -> None:
    """Agents, checks and git do all as they should: then crashes and stops cost time, and nothing else."""
    features = [replace(f, max_attempts=1, max_reworks=0, max_cost_usd=None) for f in plan.features.values()]
    calm = build_plan(features, start_on=plan.start_on, schedule=plan.schedule)
    sim = Sim(calm, Policy(parallel), World(seed), crash_at=crash_at, ask_at=ask_at)  # type: ignore[arg-type]
    assert sim.run().ended is not None
    assert_nobody_is_forgotten(sim)
    assert sim.state.ended is not None and sim.state.ended.status == "done"
    assert {f.tries for f in sim.state.features.values()} == {1}
    done = [e for e in sim.log if isinstance(e, ev.InvocationFinished) and e.end == "done"]
    assert len(done) == len(features), "work that was done is paid for once"
    assert len(sim.world.published) == len(features)


@simulated
@given(plans(), worlds, crashes, stops)
def test_an_agent_is_never_started_for_work_that_was_verified(
    plan: Plan, world: World, crash_at: frozenset[int], ask_at: dict[int, str]
) -> None:
    sim = Sim(plan, Policy(3), world, crash_at=crash_at, ask_at=ask_at)  # type: ignore[arg-type]
    sim.run()
    verified: set[str] = set()
    for e in sim.log:
        if isinstance(e, ev.AttemptVerified):
            verified.add(e.feature)
        assert not (isinstance(e, ev.InvocationStarted) and e.feature in verified)
    finished = [(e.feature, e.attempt, e.invocation) for e in sim.log if isinstance(e, ev.InvocationFinished)]
    assert len(finished) == len(set(finished))


@simulated
@given(plans(), worlds, policies, crashes)
def test_the_same_world_gives_the_same_log(plan: Plan, world: World, policy: Policy, crash_at: frozenset[int]) -> None:
    logs = []
    for _ in range(2):
        sim = Sim(plan, policy, World(world.seed, world.p_trouble), crash_at=crash_at, check=False)
        sim.run()
        logs.append(sim.log)
    assert logs[0] == logs[1]


@simulated
@given(plans(largest=12), st.integers(0, 10**6))
def test_highest_rank_goes_first(plan: Plan, seed: int) -> None:
    calm = build_plan(replace(f, max_cost_usd=None) for f in plan.features.values())  # no barriers
    sim = Sim(calm, Policy(1), World(seed))
    sim.run()
    done: set[str] = set()
    for fid in [e.feature for e in sim.log if isinstance(e, ev.AttemptStarted)]:
        could = [f for f in calm.features.values() if f.id not in done and set(f.depends_on) <= done]
        best = min(could, key=lambda f: (-calm.rank[f.id], f.priority, f.id))
        assert fid == best.id
        done.add(fid)
