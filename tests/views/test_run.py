"""The view of a run, from believable logs and from simulated ones."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrate.core import events as ev
from orchestrate.core.attempt import Stage
from orchestrate.core.plan import Schedule, StartOn, build_plan
from orchestrate.core.policy import Policy
from orchestrate.core.state import RunState, evolve, fresh
from orchestrate.views.attempts import STAGES
from orchestrate.views.run import ACTIVE, ENDED, STATUSES, RunView, Status, build_view, fold, fresh_view, waits_for
from tests.simulation.sim import Request, Sim, World
from tests.support import logs
from tests.support.effort import calls
from tests.support.logs import SCENARIOS, START, Teller, a_feature, a_plan, commit


def view_of(name: str) -> RunView:
    scenario = SCENARIOS[name]()
    return build_view(scenario.plan, scenario.events)


def statuses(view: RunView) -> dict[str, Status]:
    return {fid: feature.status for fid, feature in view.features.items()}


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_logs_of_these_tests_are_ones_that_the_rules_could_have_written(name: str) -> None:
    scenario = SCENARIOS[name]()
    state = fresh(logs.RUN, scenario.plan, logs.BASE)
    for event in scenario.events:
        evolve(state, event)  # raises on a fact that cannot be
    assert (state.ended is None) == (name in ("under_way", "just_begun", "standing_still"))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("happy_diamond", dict.fromkeys(("db", "api", "web", "dash"), "integrated")),
        ("rework", {"api": "integrated"}),
        ("conflict", {"api": "integrated", "web": "conflicted", "dash": "skipped"}),
        ("failed_and_skipped", {"db": "failed", "docs": "integrated", "api": "skipped", "dash": "skipped"}),
        ("merged_checks_fail", {"api": "integrated", "web": "failed"}),
        ("cancelled", {"api": "cancelled", "web": "skipped"}),
        ("limit", {"db": "waiting", "web": "ready", "api": "waiting"}),
        ("interrupted", {"api": "waiting", "web": "waiting"}),
        ("under_way", {"db": "merging", "api": "working", "web": "ready", "dash": "waiting"}),
        ("paused", {"api": "integrated", "web": "integrated"}),
        ("standing_still", {"db": "integrated", "api": "paused", "web": "ready", "dash": "waiting"}),
        ("cancelled_and_retried", {"api": "integrated", "web": "integrated", "docs": "integrated", "faq": "cancelled"}),
        ("disk_full", {"api": "integrated"}),
        ("killed_and_resumed", {"api": "integrated", "web": "integrated"}),
        ("just_begun", {"db": "ready", "api": "waiting", "web": "waiting", "dash": "waiting"}),
    ],
)
def test_every_feature_has_its_word(name: str, expected: dict[str, Status]) -> None:
    view = view_of(name)
    assert statuses(view) == expected
    assert {status: n for status, n in view.counts.items() if n} == Counter(expected.values())


def test_the_words_on_the_way() -> None:
    """Every event of one feature's life, and the word after it."""
    scenario = logs.rework()
    view = fresh_view(scenario.plan)
    words: list[tuple[str, Status]] = []
    for event in scenario.events:
        fold(view, event)
        if not words or words[-1][1] != view.features["api"].status:
            words.append((type(event).__name__, view.features["api"].status))
    assert words == [
        ("RunStarted", "ready"),
        ("AttemptStarted", "preparing"),
        ("InvocationStarted", "working"),
        ("SealStarted", "checking"),
        ("InvocationStarted", "working"),
        ("SealStarted", "checking"),
        ("AttemptVerified", "verified"),
        ("MergeStarted", "merging"),
        ("AttemptEnded", "integrated"),
    ]


def test_facts_of_the_run() -> None:
    view = view_of("conflict")
    assert (view.run, view.project, view.version) == (logs.RUN, "shop", "0.1.0")
    assert (view.base, view.base_branch, view.integration_branch) == (logs.BASE, "main", logs.BRANCH)
    assert view.tip == view.features["api"].attempts[0].merged != logs.BASE
    assert (view.started_at, view.status, view.why) == (START, "incomplete", "2 of 3 features were not integrated")
    assert view.ended_at == view.last_at == logs.conflict().end
    assert [engine.pid for engine in view.engines] == [100]


def test_facts_of_a_feature_that_was_reworked() -> None:
    view = view_of("rework")
    feature = view.features["api"]
    [attempt] = feature.attempts
    assert (feature.tries, feature.invocations, feature.reworks, feature.turns) == (1, 2, 1, 14)
    assert feature.cost_usd == attempt.cost_usd == view.cost_usd == pytest.approx(0.35)
    assert feature.cost_estimated and view.cost_estimated
    assert feature.tokens == view.tokens == ev.Tokens(2000, 4000, 60_000, 8000)
    assert attempt.denials == ("Bash(curl example.org)",)
    assert (attempt.base, attempt.branch) == (logs.BASE, f"orch/{logs.RUN}/feature/api/1")
    assert attempt.head == commit("api 1 2")
    assert [(r.on_merged, r.ok) for r in attempt.rounds] == [(False, False), (False, True), (True, True)]
    assert attempt.rounds[0].checks[0].tail == logs.FAILURE
    assert attempt.checks == attempt.rounds[-1].checks
    assert attempt.sealed is not None and attempt.sealed.changed == 3
    assert attempt.merge is not None and attempt.merge.kind == "merged"
    assert [i.finished.end for i in attempt.invocations if i.finished] == ["done", "done"]


def test_durations_by_stage() -> None:
    attempt = view_of("rework").features["api"].attempts[0]
    assert attempt.durations(0.0) == {
        "setup": 2.0,
        "agent": 70.0,
        "sealing": 1.0,
        "checks": 10.0,
        "queued": 0.0,
        "merging": pytest.approx(0.6),
        "merge_checks": 5.0,
        "paused": 0.0,
    }
    assert attempt.busy_s(0.0) == pytest.approx(88.6)
    assert attempt.stage is None


def test_an_open_stage_lasts_until_now() -> None:
    view = view_of("under_way")
    attempt = view.features["api"].attempts[0]
    assert attempt.stage == "agent"
    assert attempt.durations(view.last_at + 5.0)["agent"] == 6.0
    assert (attempt.action, attempt.live_turns, attempt.live_cost_usd) == ("Edit \x1b[2J api.py", 2, 0.01)
    assert attempt.live_tokens.total == 3250
    assert view.cost_usd == 0.25, "what is not settled is not counted"


def test_figures_of_a_finished_invocation_are_no_longer_live() -> None:
    attempt = view_of("cancelled").features["api"].attempts[0]
    assert (attempt.live_cost_usd, attempt.live_tokens.total, attempt.live_turns) == (0.0, 0, 0)
    assert attempt.cost_usd == 0.02
    assert attempt.stopping == "cancelled by a person"
    assert attempt.head == attempt.base == logs.BASE, "nothing was committed"


def test_a_retry_waits_for_its_time_and_counts() -> None:
    scenario = logs.retry()
    view = fresh_view(scenario.plan)
    for event in scenario.events:
        fold(view, event)
        if isinstance(event, ev.AttemptEnded):
            break
    api = view.features["api"]
    assert (api.status, api.outcome, api.why) == ("ready", "failed", "it ended without an answer")
    assert api.retry_at == view.last_at + 10.0
    assert api.ended_at is None and not view.active
    done = view_of("retry").features["api"]
    assert (done.status, done.tries, len(done.attempts), done.outcome) == ("integrated", 2, 2, "integrated")


def test_a_postponed_attempt_is_no_try_and_waits_for_integration() -> None:
    scenario = logs.postponed()
    view = fresh_view(scenario.plan)
    for event in scenario.events:
        fold(view, event)
        if isinstance(event, ev.AttemptEnded) and event.outcome == "postponed":
            break
    dash = view.features["dash"]
    assert (dash.status, dash.tries) == ("waiting", 0)
    assert waits_for(view, "dash") == ("web",), "api is in the integration branch by now"
    whole = view_of("postponed")
    assert (whole.features["dash"].tries, len(whole.features["dash"].attempts)) == (1, 2)
    assert [warning.message for warning in whole.warnings] == ["the disk is nearly full"]


def test_what_an_earlier_engine_warned_of_is_settled_and_advises_nothing_any_more() -> None:
    """Nor what the new one has put right before it began."""
    t = Teller(a_plan(("db",)))
    t.begin()
    t.tell(ev.Warned(t.now, "", "to put it back: git branch -f orch/integration aaaa"))
    t.end("interrupted")
    t.wait(10.0)
    t.tell(ev.Warned(t.now, "", "orch/integration had been deleted; it is at aaaa again"))
    t.engine()
    view = build_view(t.plan, t.events)
    assert (view.open_warnings, len(view.warnings)) == ([], 2)
    held = ev.Warned(t.now, "", "packed-refs.lock is held by a git at work")
    fold(view, held)
    assert view.open_warnings == [held]


def test_what_a_feature_waits_for() -> None:
    view = view_of("under_way")
    assert waits_for(view, "dash") == ("api", "web")
    assert waits_for(view, "web") == (), "it waits for a slot"
    t = Teller(a_plan(("db",), ("api", "db")))
    t.begin()
    t.work("db")
    t.work("api")
    assert waits_for(build_view(t.plan, t.events), "api") == ("db",), "it is merged after what it needs"


def test_a_parked_attempt_waits_and_goes_on_after_a_restart() -> None:
    view = view_of("limit")
    db = view.features["db"]
    assert (db.status, db.attempts[0].parked, db.attempts[0].stage) == ("waiting", "usage limit reached", "paused")
    fold(view, ev.EngineStarted(view.last_at + 100.0, 9))
    assert (view.status, view.ended_at, view.down_s) == ("running", None, 100.0)
    assert (db.status, db.attempts[0].parked) == ("working", "")


def test_after_a_restart_nothing_is_in_flight() -> None:
    scenario = logs.restart()
    view = fresh_view(scenario.plan)
    for event in scenario.events:
        fold(view, event)
        if isinstance(event, ev.EngineStarted) and event.pid == 200:
            break
    db, api = view.features["db"].attempts[0], view.features["api"].attempts[0]
    assert (db.stage, api.stage) == ("queued", "paused")
    assert statuses(view) == {"db": "verified", "api": "working"}
    assert api.invocations[0].lost == "the engine was stopped"
    assert view.down_s == 3600.0
    assert api.durations(view.last_at)["agent"] == 10.0, "the time without an engine is nobody's work"


def test_a_lost_step_is_told_and_its_time_counts() -> None:
    attempt = view_of("lost_step").features["api"].attempts[0]
    assert attempt.losses == ["the performer of RunChecks died"]
    assert attempt.durations(0.0)["checks"] == 8.0


def test_a_stop_is_remembered_until_the_next_engine() -> None:
    view = view_of("interrupted")
    assert (view.stop, view.status) == ("cancel", "interrupted")
    fold(view, ev.EngineStarted(view.last_at, 9))
    assert view.stop == ""


def test_a_moved_integration_branch_sends_the_attempt_back_to_the_queue() -> None:
    t = Teller(a_plan(("api",)))
    t.begin()
    t.work("api")
    t.merge("api")
    t.tell(ev.Published(*t._seen("api"), False, commit("elsewhere"), "moved"))
    view = build_view(t.plan, t.events)
    assert (view.features["api"].status, view.tip) == ("verified", commit("elsewhere"))
    t.merge("api")
    t.tell(ev.Published(*t._seen("api"), False, "", "the branch is checked out elsewhere"))
    assert build_view(t.plan, t.events).tip == commit("elsewhere")


def test_what_was_merged_before_a_crash_counts() -> None:
    t = Teller(a_plan(("api",)))
    t.begin()
    t.work("api")
    t.tell(ev.MergeStarted(*t._decided("api"), t._head["api"], t.tip))
    t.tell(ev.MergeFinished(*t._seen("api"), "present", commit("tip")))
    t.conclude("api", "integrated")
    view = build_view(t.plan, t.events)
    assert view.tip == view.features["api"].attempts[0].merged == commit("tip")


def test_waves_open_one_after_the_other() -> None:
    plan = build_plan([a_feature("a"), a_feature("b"), a_feature("c", "a")], schedule="waves")
    t = Teller(plan)
    t.begin()
    t.work("a")
    t.integrate("a")
    view = build_view(plan, t.events)
    assert statuses(view) == {"a": "integrated", "b": "ready", "c": "waiting"}
    t.work("b")
    t.integrate("b")
    assert statuses(build_view(plan, t.events))["c"] == "ready"


def test_a_feature_that_ended_may_be_tried_again() -> None:
    scenario = logs.merged_checks_fail()
    view = build_view(scenario.plan, scenario.events)
    fold(view, ev.EngineStarted(scenario.end, 9))
    fold(view, ev.AttemptStarted(scenario.end + 1, "web", 2, 1, (logs.BASE,)))
    web = view.features["web"]
    assert (web.status, web.ended_at, len(web.attempts)) == ("preparing", None, 2)
    assert view.wave_left == [1]


def test_a_further_try_begins_with_all_tries_but_what_was_spent_stays() -> None:
    view = view_of("cancelled_and_retried")
    api, web, faq = (view.features[fid] for fid in ("api", "web", "faq"))
    assert (api.tries, len(api.attempts), [a.ended.outcome for a in api.attempts if a.ended]) == (
        1,
        2,
        ["cancelled", "integrated"],
    )
    assert api.cost_usd == pytest.approx(0.02 + 0.25)
    assert (web.outcome, web.tries) == ("integrated", 1)
    assert (faq.outcome, faq.why, faq.attempts) == ("cancelled", f"cancelled by {logs.ANNA}", [])
    assert (view.wave_left, view.delivered) == ([0, 0], 2)
    assert view.down_s == pytest.approx(86_400.0)


def test_a_feature_that_is_opened_again_takes_its_verified_work_back() -> None:
    """Its dependents had been free to start from it."""
    t = Teller(a_plan(("api",), ("web", "api")))
    t.begin()
    t.work("api")
    t.merge("api", "app.py")
    t.conclude("api", "conflicted", "conflicts in app.py")
    t.skip("web", "api was in conflict")
    t.end("incomplete")
    t.ask_again()
    t.engine()
    t.reopen("api", "web")
    assert statuses(build_view(t.plan, t.events)) == {"api": "ready", "web": "waiting"}
    t.work("api")
    assert statuses(build_view(t.plan, t.events)) == {"api": "verified", "web": "ready"}


def test_a_try_that_is_asked_for_need_not_wait() -> None:
    scenario = logs.retry()
    ended = next(n for n, event in enumerate(scenario.events) if isinstance(event, ev.AttemptEnded))
    view = build_view(scenario.plan, scenario.events[: ended + 1])
    assert view.features["api"].retry_at > 0
    fold(view, ev.RetryRequested(view.last_at, logs.ANNA, 1, ("api",)))
    assert view.features["api"].retry_at == 0


def test_work_that_was_saved_is_known() -> None:
    attempt = view_of("killed_and_resumed").features["api"].attempts[0]
    assert (attempt.saves, attempt.has_work) == (2, True)
    assert attempt.saved == commit(f"api at {attempt.saved_at}")


def test_an_unknown_event_is_a_defect() -> None:
    with pytest.raises(AssertionError, match="unknown event"):
        fold(fresh_view(a_plan(("a",))), ev.Event(1.0))


# ── against the core's own state, on simulated runs ──────────────────────────────────────────────────────────────

WORDS: dict[Stage, set[Status]] = {
    Stage.PREPARING: {"preparing"},
    Stage.READY: {"preparing", "working", "checking", "waiting", "paused"},
    Stage.INVOKING: {"working"},
    Stage.SEALING: {"checking"},
    Stage.CHECKING: {"checking"},
    Stage.QUEUED: {"verified"},
    Stage.MERGING: {"merging"},
    Stage.MERGED: {"merging", "waiting", "paused"},
    Stage.PROVING: {"merging"},
    Stage.PUBLISHING: {"merging"},
}


def agree(state: RunState, view: RunView) -> None:
    """The view and the core say the same of every feature."""
    assert view.tip == state.integration_head or not state.ended
    assert view.cost_usd == pytest.approx(state.ledger.spent_usd)
    assert {pause.cause for pause in view.holds.open} == set(state.holds)
    assert (view.stop, view.account, view.squeezed) == (state.stop, state.account, state.squeezed)
    ready = {key[2] for key in state.ready}
    for fid, known in state.features.items():
        seen = view.features[fid]
        assert (len(seen.attempts), seen.tries) == (known.number, known.tries)
        if known.ended is not None:
            assert seen.status in ENDED and seen.status == known.ended
        elif known.active and known.attempt is not None:
            assert seen.status in WORDS[known.attempt.stage], (fid, known.attempt.stage)
            assert fid in view.active and (seen.status in ACTIVE or seen.status in ("waiting", "paused"))
        elif fid in ready:
            assert seen.status == "ready"
        else:
            assert seen.status in ("waiting", "ready"), "blocked ones are skipped in the same breath"


def check_spans(view: RunView) -> None:
    for feature in view.features.values():
        for attempt in feature.attempts:
            edges = [(span.start, span.end) for span in attempt.spans]
            assert all(end is not None and end > start for start, end in edges[:-1])
            assert all(a[1] is not None and a[1] <= b[0] for a, b in pairwise(edges))
            assert not attempt.ended or all(end is not None for _, end in edges)


@given(
    seed=st.integers(0, 10_000),
    trouble=st.sampled_from([0.0, 0.1, 0.4]),
    crashes=st.frozensets(st.integers(3, 120), max_size=3),
    asked=st.dictionaries(st.integers(3, 120), st.sampled_from(get_args(Request)), max_size=6),
    schedule=st.sampled_from(("ready", "waves")),
    start_on=st.sampled_from(["verified", "integrated"]),
)
def test_the_view_agrees_with_the_core_after_every_event(
    seed: int,
    trouble: float,
    crashes: frozenset[int],
    asked: dict[int, Request],
    schedule: Schedule,
    start_on: StartOn,
) -> None:
    plan = a_plan(*logs.DIAMOND, ("extra",), ("late", "extra", "db"), schedule=schedule, start_on=start_on)
    sim = Sim(plan, Policy(max_parallel=2), World(seed=seed, p_trouble=trouble), crash_at=crashes, ask_at=asked)
    sim.run()
    state, view = fresh("r", plan, "base"), fresh_view(plan)
    for event in sim.log:
        evolve(state, event)
        fold(view, event)
        agree(state, view)
        assert sum(view.counts.values()) == len(plan.features)
    check_spans(view)
    assert sim.state.ended is not None and view.status == sim.state.ended.status


def test_one_event_costs_the_same_at_any_size() -> None:
    """Calls of functions at 100 and at 5,000 features; the plan is wide, so that all are ready."""

    def cost(count: int) -> int:
        plan = a_plan(*[(f"f{n}",) for n in range(count)])
        view = fresh_view(plan)
        t = Teller(plan)
        t.begin()
        for n in range(100):
            t.work(f"f{n}")
            t.integrate(f"f{n}")

        def fold_all() -> None:
            for event in t.events[2:]:
                fold(view, event)

        return calls(fold_all)

    assert cost(5000) < cost(100) * 1.2


def test_every_stage_and_status_is_told_somewhere() -> None:
    seen_stages, seen_statuses = set(), set()
    for made in SCENARIOS.values():
        scenario = made()
        view = fresh_view(scenario.plan)
        for event in scenario.events:
            fold(view, event)
            seen_statuses |= set(statuses(view).values())
        seen_stages |= {s.stage for f in view.features.values() for a in f.attempts for s in a.spans}
    assert seen_stages == set(STAGES)
    assert seen_statuses >= set(STATUSES) - {"no_changes"}
