"""What a run has cost, by feature, attempt, model and phase."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrate.core import events as ev
from orchestrate.core.policy import Policy
from orchestrate.views.cost import CostLine, Costs, build_costs
from orchestrate.views.run import build_view
from tests.simulation.sim import Sim, World
from tests.support import logs
from tests.support.logs import SCENARIOS, Teller, a_plan


def costs_of(name: str) -> Costs:
    scenario = SCENARIOS[name]()
    return build_costs(build_view(scenario.plan, scenario.events))


def keys(lines: tuple[CostLine, ...]) -> list[tuple[str, float]]:
    return [(line.key, round(line.usd, 6)) for line in lines]


def test_dearest_first() -> None:
    costs = costs_of("happy_diamond")
    assert keys(costs.features) == [("web", 0.75), ("api", 0.25), ("dash", 0.25), ("db", 0.25)]
    assert costs.total.usd == pytest.approx(1.5)
    assert costs.total.tokens == ev.Tokens(4000, 8000, 120_000, 16_000)


def test_what_was_estimated_is_told_apart() -> None:
    costs = costs_of("rework")
    assert (round(costs.total.usd, 6), costs.total.estimated_usd) == (0.35, 0.10)
    assert [(line.key, line.estimated) for line in costs.phases] == [("edit", False), ("rework", True)]


def test_each_attempt_has_its_line_also_the_failed_one() -> None:
    assert [line.key for line in costs_of("retry").attempts] == ["api/1", "api/2", "web/1"]


def test_a_model_that_the_agent_did_not_name_is_the_one_asked_for() -> None:
    t = Teller(a_plan(("api",)))
    t.begin()
    t.start("api")
    t.prepare("api")
    t.invoke("api")
    t.tell(ev.InvocationFinished(t.now, "api", 1, 1, "crashed", cost_usd=0.5))
    costs = build_costs(build_view(t.plan, t.events))
    assert [line.key for line in costs.models] == ["opus"]
    assert [line.key for line in costs_of("rework").models] == ["claude-opus-4-1"]


def test_an_invocation_that_died_with_its_engine_is_counted_as_lost() -> None:
    costs = costs_of("restart")
    assert (costs.lost, costs.total.invocations) == (1, 2)


def test_nothing_costs_nothing() -> None:
    assert costs_of("just_begun") == Costs(CostLine(""), (), (), (), ())


@given(seed=st.integers(0, 10_000))
def test_every_table_adds_up(seed: int) -> None:
    plan = a_plan(*logs.DIAMOND)
    sim = Sim(plan, Policy(max_parallel=2), World(seed=seed, p_trouble=0.3))
    sim.run()
    view = build_view(plan, sim.log)
    costs = build_costs(view)
    paid = [event for event in sim.log if isinstance(event, ev.InvocationFinished)]
    assert costs.total.usd == pytest.approx(sum(event.cost_usd for event in paid)) == pytest.approx(view.cost_usd)
    for table in (costs.features, costs.attempts, costs.models, costs.phases):
        assert sum(line.usd for line in table) == pytest.approx(costs.total.usd)
        assert sum(line.invocations for line in table) == len(paid)
