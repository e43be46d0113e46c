"""The guess of what is left follows the longest chain, the slots and the pace."""

from __future__ import annotations

import pytest

from orchestrate.core import events as ev
from orchestrate.core.plan import Estimate, Feature, Plan, build_plan
from orchestrate.views.forecast import Forecast


def plan_of(**needs: tuple[str, ...]) -> Plan:
    hundred = Estimate(1000, 0.0, 100.0, "default")
    return build_plan(Feature(fid, depends_on=deps, estimate=hundred) for fid, deps in needs.items())


def verified(feature: str, start: float, end: float) -> tuple[ev.Event, ...]:
    return (ev.AttemptStarted(start, feature, 1, 1), ev.AttemptVerified(end, feature, 1, 2, "h", "t"))


CHAIN = {"a": (), "b": ("a",), "c": ("b",), "d": ()}


@pytest.mark.parametrize(("slots", "left_s"), [(1, 400.0), (2, 300.0), (8, 300.0)])
def test_bound_by_chain_or_by_slots(slots: int, left_s: float) -> None:
    assert Forecast(plan_of(**CHAIN), slots).left_s(0.0) == left_s


def test_what_runs_is_partly_done_and_never_quite_over() -> None:
    forecast = Forecast(plan_of(a=()), 1)
    forecast.fold(ev.AttemptStarted(0.0, "a", 1, 1))
    assert forecast.left_s(60.0) == pytest.approx(40.0)
    assert forecast.left_s(500.0) == pytest.approx(10.0)


def test_the_pace_is_learned_from_two_on() -> None:
    forecast = Forecast(plan_of(**CHAIN), 2)
    for event in verified("a", 0.0, 50.0):
        forecast.fold(event)
    assert (forecast.left_s(50.0), forecast.basis) == (200.0, "from the estimates")
    for event in verified("d", 0.0, 50.0):
        forecast.fold(event)
    assert (forecast.left_s(60.0), forecast.basis) == (100.0, "from 2 finished")


def test_what_ended_for_good_needs_nothing_and_what_is_tried_again_does() -> None:
    forecast = Forecast(plan_of(a=(), b=()), 1)
    forecast.fold(ev.FeatureSkipped(1.0, "b", "why"))
    forecast.fold(ev.AttemptStarted(1.0, "a", 1, 1))
    forecast.fold(ev.AttemptEnded(2.0, "a", 1, 2, "failed", retry=True))
    assert forecast.left_s(2.0) == 100.0
    forecast.fold(ev.AttemptEnded(3.0, "a", 1, 2, "failed"))
    assert forecast.left_s(10.0) == 0.0


def test_verified_work_that_is_tried_again_counts_again() -> None:
    forecast = Forecast(plan_of(a=()), 1)
    for event in (*verified("a", 0.0, 50.0), ev.AttemptEnded(60.0, "a", 1, 9, "conflicted", retry=True)):
        forecast.fold(event)
    assert forecast.left_s(60.0) == 100.0


def test_time_without_an_engine_counts_for_nothing() -> None:
    forecast = Forecast(plan_of(a=()), 1)
    forecast.fold(ev.AttemptStarted(0.0, "a", 1, 1))
    forecast.fold(ev.EngineStarted(1000.0, 1))
    assert forecast.left_s(1000.0) == 100.0


def test_a_guess_is_kept_for_two_seconds() -> None:
    forecast = Forecast(plan_of(a=()), 1)
    forecast.fold(ev.AttemptStarted(0.0, "a", 1, 1))
    assert [forecast.left_s(now) for now in (10.0, 11.9, 12.0)] == [90.0, 90.0, 88.0]
