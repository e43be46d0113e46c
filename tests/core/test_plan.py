"""Graph, waves, ranks and critical path, against brute force."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrate.core.plan import CycleError, Estimate, Feature, build_plan
from orchestrate.errors import ExitCode


def feature(fid: str, *needs: str, seconds: float = 300.0) -> Feature:
    return Feature(fid, depends_on=needs, estimate=Estimate(0, 0.0, seconds, "test"))


@st.composite
def graphs(draw: st.DrawFn) -> list[Feature]:
    """Acyclic, in any order of the file."""
    names = [f"f{i}" for i in range(draw(st.integers(1, 8)))]
    features = [
        feature(
            name,
            *draw(st.lists(st.sampled_from(names[:i]), unique=True, max_size=3) if i else st.just([])),
            seconds=draw(st.integers(1, 50)),
        )
        for i, name in enumerate(names)
    ]
    return draw(st.permutations(features))


def chains_from(fid: str, features: dict[str, Feature]) -> list[list[str]]:
    """Every chain of dependents that begins with `fid` and ends in a sink."""
    after = [f.id for f in features.values() if fid in f.depends_on]
    return [[fid, *rest] for d in after for rest in chains_from(d, features)] if after else [[fid]]


def seconds(chain: list[str] | tuple[str, ...], features: dict[str, Feature]) -> float:
    return sum(features[fid].estimate.duration_s for fid in chain)


@given(graphs())
def test_a_rank_is_the_longest_chain_of_dependents(listed: list[Feature]) -> None:
    features = {f.id: f for f in listed}
    plan = build_plan(listed)
    for fid in features:
        assert plan.rank[fid] == max(seconds(chain, features) for chain in chains_from(fid, features))


@given(graphs())
def test_the_critical_path_is_a_longest_chain_of_all(listed: list[Feature]) -> None:
    features = {f.id: f for f in listed}
    plan = build_plan(listed)
    every = [chain for f in listed if not f.depends_on for chain in chains_from(f.id, features)]
    assert list(plan.critical_path) in every
    assert plan.critical_s == max(seconds(chain, features) for chain in every)


@given(graphs())
def test_a_wave_comes_right_after_the_last_dependency(listed: list[Feature]) -> None:
    plan = build_plan(listed)
    assert sorted(fid for wave in plan.waves for fid in wave) == sorted(f.id for f in listed)
    for f in listed:
        assert plan.wave_of[f.id] == max((plan.wave_of[d] + 1 for d in f.depends_on), default=0)
        assert f.id in plan.waves[plan.wave_of[f.id]]


@given(graphs())
def test_features_stand_in_topological_order_whatever_the_file_says(listed: list[Feature]) -> None:
    plan = build_plan(listed)
    place = {fid: i for i, fid in enumerate(plan.features)}
    assert all(place[d] < place[f.id] for f in listed for d in f.depends_on)
    assert plan == build_plan(sorted(listed, key=lambda f: f.id))


@given(graphs())
def test_dependents_are_the_inverse_of_dependencies(listed: list[Feature]) -> None:
    plan = build_plan(listed)
    assert {(d, f.id) for f in listed for d in f.depends_on} == {
        (d, f) for d, fs in plan.dependents.items() for f in fs
    }


def test_the_bound_is_the_longer_of_the_path_and_the_shared_work() -> None:
    plan = build_plan([feature("a", seconds=10), feature("b", "a", seconds=20), feature("c", seconds=50)])
    assert (plan.work_s, plan.critical_s, plan.critical_path) == (80.0, 50.0, ("c",))
    assert (plan.bound_s(1), plan.bound_s(2), plan.bound_s(0)) == (80.0, 50.0, 80.0)


def test_equal_chains_are_told_apart_by_id() -> None:
    assert build_plan([feature("b"), feature("a"), feature("d", "b"), feature("c", "b")]).critical_path == ("b", "c")


def test_no_features_are_a_plan() -> None:
    plan = build_plan([])
    assert (plan.waves, plan.critical_path, plan.bound_s(3)) == ((), (), 0.0)


@pytest.mark.parametrize(
    ("listed", "circle"),
    [
        ([feature("a", "b"), feature("b", "c"), feature("c", "a")], {"a", "b", "c"}),
        ([feature("x"), feature("a", "a")], {"a"}),
        ([feature("x"), feature("a", "x", "b"), feature("b", "a"), feature("z", "b")], {"a", "b"}),
    ],
)
def test_a_cycle_is_refused_and_shown(listed: list[Feature], circle: set[str]) -> None:
    with pytest.raises(CycleError, match=r"^the dependencies form a cycle: ") as caught:
        build_plan(listed)
    shown = caught.value.message.removeprefix("the dependencies form a cycle: ").split(" → ")
    needs = {f.id: f.depends_on for f in listed}
    assert set(shown) == circle
    assert shown[0] == shown[-1]
    assert all(before in needs[after] for before, after in pairwise(shown))
    assert (caught.value.hint, caught.value.code) == ("remove one of these dependencies", ExitCode.REFUSED)
