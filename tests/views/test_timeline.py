"""Where the time went: on a run whose times can be added up by hand, and as laws on simulated ones."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from orchestrate.core.plan import StartOn
from orchestrate.core.policy import Policy
from orchestrate.views.run import build_view
from orchestrate.views.timeline import Step, Timeline, TimelineSpan, build_timeline
from tests.simulation.sim import Sim, World
from tests.support import logs
from tests.support.logs import SCENARIOS, START


def timeline_of(name: str, *, later: float = 0.0, parallel: int | None = None) -> Timeline:
    scenario = SCENARIOS[name]()
    return build_timeline(build_view(scenario.plan, scenario.events), now=scenario.end + later, parallel=parallel)


def test_spans_of_one_feature() -> None:
    spans = [span for span in timeline_of("happy_diamond").spans if span.feature == "db"]
    assert [(span.stage, round(span.start, 3), round(span.end, 3)) for span in spans] == [
        ("setup", 0.0, 2.0),
        ("agent", 2.0, 53.0),
        ("sealing", 53.0, 53.5),
        ("checks", 53.5, 58.5),
        ("merging", 58.5, 59.0),
        ("merge_checks", 59.0, 64.0),
        ("merging", 64.0, 64.1),
    ]
    assert spans[1].seconds == 51.0


def test_concurrency_goes_up_and_down() -> None:
    """db alone; its merge beside api's and web's setup; web's setup alone, as it takes longer; then both agents."""
    timeline = timeline_of("happy_diamond")
    steps = [Step(round(step.at, 3), step.count) for step in timeline.concurrency]
    assert steps[:4] == [Step(0.0, 1), Step(58.5, 3), Step(64.1, 1), Step(65.1, 2)]
    assert timeline.concurrency[-1].count == 0
    assert (timeline.peak, timeline.parallel) == (3, 3)


def test_the_critical_path_as_it_happened() -> None:
    """db, then web, which was ready after api, then dash. In the plan, api and web weigh the same."""
    path = timeline_of("happy_diamond").critical_path
    assert [link.feature for link in path] == ["db", "web", "dash"]
    db, web, dash = path
    assert (db.due, db.start, db.ready) == (0.0, 0.0, 58.5)
    assert (web.due, web.start, web.waited_s) == (58.5, 58.5, 0.0)
    assert dash.due == dash.start == web.ready
    assert dash.ready == timeline_of("happy_diamond").wall_s


def test_a_feature_that_waited_for_a_slot_says_how_long() -> None:
    [link] = timeline_of("failed_and_skipped").critical_path
    assert (link.feature, link.due, link.start, link.waited_s) == ("docs", 0.0, 168.5, 168.5)
    assert link.ready == pytest.approx(232.6)


def test_after_a_conflict_of_bases_the_integration_counts() -> None:
    """dash could not start from the heads of api and web; it had to wait until both were integrated."""
    path = timeline_of("postponed").critical_path
    assert [link.feature for link in path] == ["web", "dash"]
    scenario = logs.postponed()
    web = build_view(scenario.plan, scenario.events).features["web"]
    assert web.ended_at is not None
    assert path[1].due == path[1].start == web.ended_at - START


def test_time_without_an_engine_is_counted_apart() -> None:
    timeline = timeline_of("restart")
    assert timeline.down_s == 3600.0
    assert timeline.active_s == pytest.approx(timeline.wall_s - 3600.0)
    assert timeline.sequential_s == pytest.approx(timeline.active_s), "one at a time, without a pause"
    assert timeline.speedup == pytest.approx(1.0)


def test_the_bound_knows_chain_and_slots() -> None:
    narrow, wide = timeline_of("happy_diamond", parallel=1), timeline_of("happy_diamond", parallel=100)
    assert narrow.bound_s == narrow.sequential_s
    until_verified, to_the_end = {"db": 58.5, "web": 67.6}, {"dash": 64.3}
    assert wide.bound_s == pytest.approx(sum(until_verified.values()) + to_the_end["dash"]), "merging holds nobody up"
    assert narrow.bound_s > wide.bound_s


def test_what_goes_on_lasts_until_now() -> None:
    timeline = timeline_of("under_way", later=7.0)
    [merging] = [span for span in timeline.spans if span.feature == "db" and span.open]
    assert merging == TimelineSpan("db", 1, "merging", 58.5, timeline.wall_s, open=True)
    assert timeline.wall_s == logs.under_way().end + 7.0 - START
    assert [link.feature for link in timeline.critical_path][-1] == "db"


def test_before_anything_happened() -> None:
    timeline = timeline_of("just_begun")
    assert (timeline.spans, timeline.concurrency, timeline.critical_path) == ((), (), ())
    assert (timeline.wall_s, timeline.sequential_s, timeline.bound_s, timeline.speedup) == (0.0, 0.0, 0.0, 0.0)
    assert (timeline.peak, timeline.parallel) == (0, 1)


@given(
    seed=st.integers(0, 10_000),
    trouble=st.sampled_from([0.0, 0.3]),
    parallel=st.integers(1, 4),
    start_on=st.sampled_from(("verified", "integrated")),
)
@example(
    seed=719, trouble=0.3, parallel=1, start_on="verified"
)  # tried in vain before its dependencies were integrated
def test_laws(seed: int, trouble: float, parallel: int, start_on: StartOn) -> None:
    plan = logs.a_plan(*logs.DIAMOND, ("extra",), ("late", "extra", "db"), start_on=start_on)
    sim = Sim(plan, Policy(max_parallel=parallel), World(seed=seed, p_trouble=trouble))
    sim.run()
    timeline = build_timeline(build_view(plan, sim.log), now=sim.now)
    assert timeline.bound_s <= timeline.wall_s + 1e-6
    assert timeline.wall_s <= timeline.sequential_s + timeline.down_s + _idle(timeline) + 1e-6
    assert max(step.count for step in timeline.concurrency) == timeline.peak
    path = timeline.critical_path
    assert all(link.due <= link.start <= link.ready + 1e-9 for link in path)
    assert all(b.due == a.ready for a, b in pairwise(path))
    assert not plan.features[path[0].feature].depends_on


def _idle(timeline: Timeline) -> float:
    """Time in which nobody worked on anything: pauses before retries."""
    steps = [*timeline.concurrency, Step(timeline.wall_s, 0)]
    return sum(b.at - a.at for a, b in pairwise(steps) if a.count == 0) + steps[0].at
