"""The report: complete, valid against its published schema, and harmless whatever agents say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from orchestrate.core import events as ev
from orchestrate.core.policy import Policy
from orchestrate.views import report_schema as report_schema_module
from orchestrate.views.report import build_report, render_json, render_markdown
from orchestrate.views.report_markdown import GRAPH_LIMIT, SYMBOLS, code, escape, fenced
from orchestrate.views.report_model import FeatureReport, Report
from orchestrate.views.report_schema import render_report_schema, report_schema
from orchestrate.views.run import STATUSES
from orchestrate.views.text import clean, clean_block
from tests.simulation.sim import Sim, World
from tests.support import logs
from tests.support.logs import SCENARIOS, Teller, a_plan, commit

SCHEMA_FILE = Path(__file__).parents[2] / "schemas" / "report.schema.json"
VALIDATOR = jsonschema.Draft202012Validator(report_schema())
MARKDOWN = MarkdownIt("commonmark").enable("table")


def report_of(name: str) -> Report:
    scenario = SCENARIOS[name]()
    return build_report(scenario.events, scenario.plan, now=scenario.end)


def feature(report: Report, fid: str) -> FeatureReport:
    return next(each for each in report.features if each.id == fid)


# ── JSON ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_published_schema_is_the_one_of_the_code() -> None:
    assert SCHEMA_FILE.read_text() == render_report_schema(), "orchestrate schema report > schemas/report.schema.json"
    jsonschema.Draft202012Validator.check_schema(report_schema())


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_report_is_valid(name: str) -> None:
    VALIDATOR.validate(json.loads(render_json(report_of(name))))


def test_a_type_that_no_report_has_used_is_a_defect() -> None:
    with pytest.raises(TypeError, match="no schema for list"):
        report_schema_module._schema_of(list[int], {})


def test_the_schema_tells_valid_from_invalid() -> None:
    for path, value in (
        (("totals", "features"), "4"),
        (("features", 0, "status"), "great"),
        (("run", "ended_at"), 5),
        (("surprise",), 1),
    ):
        document: Any = json.loads(render_json(report_of("happy_diamond")))
        at = document
        for key in path[:-1]:
            at = at[key]
        at[path[-1]] = value
        assert not VALIDATOR.is_valid(document), path


@given(
    seed=st.integers(0, 10_000),
    crashes=st.frozensets(st.integers(3, 90), max_size=2),
    cut=st.integers(2, 200),
)
def test_wherever_a_log_breaks_off_there_is_a_report(seed: int, crashes: frozenset[int], cut: int) -> None:
    plan = a_plan(*logs.DIAMOND)
    sim = Sim(plan, Policy(max_parallel=2), World(seed=seed, p_trouble=0.3), crash_at=crashes)
    sim.run()
    report = build_report(sim.log[:cut], plan, now=sim.now)
    VALIDATOR.validate(json.loads(render_json(report)))
    assert [each.id for each in report.features] == list(plan.features), "every feature is in it"
    assert sum(each.spent.cost_usd for each in report.features) == pytest.approx(report.totals.spent.cost_usd)
    assert render_markdown(report)


def test_facts_of_the_run() -> None:
    report = report_of("happy_diamond")
    assert report.schema == "orchestrate/report/v1"
    run = report.run
    assert (run.id, run.project, run.status, run.base_branch) == (logs.RUN, "shop", "done", "main")
    assert (run.started_at, run.ended_at) == ("2026-11-18T11:06:40.000Z", "2026-11-18T11:09:50.400Z")
    assert run.tip == feature(report, "dash").merged
    assert [engine.pid for engine in run.engines] == [100]
    assert report.plan.waves == (("db",), ("api", "web"), ("dash",))
    assert report.time.wall_s == 190.4
    assert (report.time.sequential_s, report.time.bound_s, report.time.speedup) == (248.3, 190.4, 1.304)
    assert [link.feature for link in report.critical_path] == ["db", "web", "dash"]
    assert (report.totals.features, report.totals.integrated, report.totals.by_status) == (4, 4, {"integrated": 4})
    assert report.branches[0] == logs.BRANCH and len(report.branches) == 5
    assert report.errors == ()
    assert report.next[0].command == f"git merge {logs.BRANCH}"


def test_facts_of_a_feature_and_its_attempts() -> None:
    api = feature(report_of("rework"), "api")
    assert (api.status, api.success, api.outcome, api.tries, api.reworks) == ("integrated", True, "integrated", 1, 1)
    assert (api.spent.cost_usd, api.spent.estimated_usd, api.spent.turns) == (0.35, 0.1, 14)
    assert api.said == "I have done it."
    assert api.estimate.source == "feature list"
    [attempt] = api.attempts
    assert (attempt.base, attempt.head, attempt.outcome) == (logs.BASE, commit("api 1 2"), "integrated")
    assert attempt.branch == f"orch/{logs.RUN}/feature/api/1"
    assert attempt.durations_s["agent"] == 70.0 and attempt.durations_s["checks"] == 10.0
    assert [(each.where, each.ok) for each in attempt.rounds] == [
        ("feature", False),
        ("feature", True),
        ("merged", True),
    ]
    assert attempt.rounds[0].checks[0].tail == logs.FAILURE
    assert [(each.phase, each.end, each.resumed) for each in attempt.invocations] == [
        ("edit", "done", False),
        ("rework", "done", True),
    ]
    assert attempt.denials == ("Bash(curl example.org)",)
    assert attempt.artifacts == ("api/1/agent-1.jsonl", "api/1/agent-2.jsonl", "checks.log")
    assert attempt.change is not None and (attempt.change.files, attempt.change.insertions) == (3, 40)
    assert attempt.spans[0].stage == "setup" and attempt.spans[0].end_s == 2.0


def test_each_attempt_keeps_its_own_outcome() -> None:
    first, second = feature(report_of("retry"), "api").attempts
    assert (first.outcome, first.retried, first.why) == ("failed", True, "it ended without an answer")
    assert (second.outcome, second.retried) == ("integrated", False)


def test_what_failed_says_why() -> None:
    report = report_of("failed_and_skipped")
    assert [(each.feature, each.status, each.error) for each in report.errors] == [
        ("db", "failed", "checks failed: tests"),
        ("api", "skipped", "db failed"),
        ("dash", "skipped", "api was skipped"),
    ]
    assert (report.totals.unsuccessful, report.totals.unfinished) == (3, 0)
    assert "orchestrate logs db" in [step.command for step in report.next]


def test_conflicts_are_named() -> None:
    web = feature(report_of("conflict"), "web")
    assert (web.status, web.attempts[0].conflicts) == ("conflicted", ("app.py", "we`ird|.py"))


@pytest.mark.parametrize(
    ("name", "fid", "why"),
    [
        ("limit", "db", "stands still: usage limit reached"),
        ("limit", "web", "never started: usage limit reached"),
        ("interrupted", "web", "never started: stopped by Ctrl-C"),
        ("under_way", "dash", ""),
    ],
)
def test_what_has_not_ended_says_why_too(name: str, fid: str, why: str) -> None:
    report = report_of(name)
    assert feature(report, fid).why == why
    assert report.totals.unfinished > 0


@pytest.mark.parametrize(
    ("name", "commands"),
    [
        ("limit", ["orchestrate resume"]),
        ("interrupted", ["orchestrate resume"]),
        ("under_way", ["orchestrate status"]),
        ("cancelled", ["orchestrate logs api", "orchestrate retry", "orchestrate recover"]),
    ],
)
def test_what_to_do_next(name: str, commands: list[str]) -> None:
    assert [step.command for step in report_of(name).next] == commands


def test_a_refused_account_needs_a_person() -> None:
    scenario = logs.limit()
    halted = [*scenario.events[:-1], ev.RunEnded(scenario.end, "halted", "not signed in")]
    report = build_report(halted, scenario.plan, now=scenario.end)
    assert [step.command for step in report.next] == ["orchestrate doctor", "orchestrate resume"]


def test_a_lost_invocation_is_told() -> None:
    report = report_of("restart")
    first = feature(report, "api").attempts[0].invocations[0]
    assert (first.end, first.why, first.ended_at) == ("lost", "the engine was stopped", None)
    assert report.totals.lost_invocations == 1
    assert feature(report_of("under_way"), "api").attempts[0].invocations[0].end == "running"


def test_figures_that_are_none_do_not_break_the_json() -> None:
    t = Teller(a_plan(("api",)))
    t.begin()
    t.start("api")
    t.prepare("api")
    t.invoke("api")
    t.finish("api", cost=float("nan"))
    document = json.loads(render_json(build_report(t.events, t.plan, now=t.now)))
    VALIDATOR.validate(document)
    assert document["totals"]["spent"]["cost_usd"] == 0.0


# ── Markdown ─────────────────────────────────────────────────────────────────────────────────────────────────────


def tokens_of(text: str) -> list[Token]:
    found: list[Token] = []
    for token in MARKDOWN.parse(text):
        found += [token, *(token.children or ())]
    return found


def headings(text: str) -> list[str]:
    tokens = MARKDOWN.parse(text)
    return [tokens[n + 1].content for n, token in enumerate(tokens) if token.type == "heading_open"]


def test_it_begins_with_words() -> None:
    text = render_markdown(report_of("failed_and_skipped"))
    title, first, second = text.split("\n\n")[:3]
    assert title == f"# Run {logs.RUN} of shop: incomplete"
    assert first == "**1 of 4 features is integrated.** The others: 1 failed, 2 skipped."
    assert second.startswith("It took 3:52; one worker would have needed 3:52")


def test_it_says_what_a_limit_a_restart_and_an_estimate_did() -> None:
    assert "The run ended early: usage limit reached." in render_markdown(report_of("limit"))
    restarted = render_markdown(report_of("restart"))
    assert "(of it 1:00:00 without an engine)" in restarted
    assert "What 1 invocation cost is unknown" in restarted
    assert "cost $0.35 (of it $0.10 estimated)" in render_markdown(report_of("rework"))
    assert "It has taken 1:02;" in render_markdown(report_of("under_way"))


def test_parts() -> None:
    assert headings(render_markdown(report_of("failed_and_skipped"))) == [
        f"Run {logs.RUN} of shop: incomplete", "Features", "What went wrong", "db: failed", "Kept", "Time", "Cost", "Plan", "Attempts",
    ]  # fmt: skip
    assert headings(render_markdown(report_of("just_begun"))) == [
        f"Run {logs.RUN} of shop: running",
        "Features",
        "Plan",
    ]
    assert "Warnings" in headings(render_markdown(report_of("postponed")))


def test_a_failure_shows_the_check_and_where_the_work_is() -> None:
    text = render_markdown(report_of("merged_checks_fail"))
    assert "Check `tests` (`pytest -q`) on the merged tree: exit 1." in text
    assert f"```text\n{logs.FAILURE}\n```" in text
    assert f"Its work is kept in `orch/{logs.RUN}/feature/web/1` at `{commit('web 1 1')[:10]}`." in text


def test_troubles_of_every_kind_are_told() -> None:
    t = Teller(a_plan(("api",)))
    t.begin()
    t.start("api")
    t.prepare("api")
    t.invoke("api")
    t.finish("api", denials=("Bash(rm *)",), said="")
    t.seal("api")
    t.events[-1] = ev.WorkSealed(t.now, "api", 1, commit("x"), "t", 1, out_of_scope=("/etc/*",))
    late = ev.CheckResult("slow", "sleep 9", ok=False, timed_out=True, duration_s=600.0)
    none = ev.CheckResult("none", "nonesuch", ok=False)
    t.tell(ev.ChecksStarted(*t._decided("api"), commit("x")))
    t.tell(ev.ChecksFinished(*t._seen("api"), False, (late, none), "a check | broke"))
    t.conclude("api", "failed", "all of it")
    text = render_markdown(build_report(t.events, t.plan, now=t.now))
    assert "Changed outside its scope: `/etc/*`." in text
    assert "The agent was not allowed: `Bash(rm *)`." in text
    assert "Check `slow` (`sleep 9`): timed out after 10:00." in text
    assert "Check `none` (`nonesuch`): could not be run." in text
    assert "The checks could not be run: a check &#124; broke" in text


def test_the_graph_shows_what_became_of_each_feature() -> None:
    text = render_markdown(report_of("failed_and_skipped"))
    graph = text.partition("```mermaid\n")[2].partition("```")[0].splitlines()
    assert graph[:7] == [
        "graph LR",
        '  n0["db<br/>✗ failed"]:::s1',
        '  n1["docs<br/>✓ integrated"]:::s0',
        '  n2["api<br/>⊘ skipped"]:::s2',
        '  n3["dash<br/>⊘ skipped"]:::s2',
        "  n0 --> n2",
        "  n2 --> n3",
    ]
    assert set(SYMBOLS) == set(STATUSES)


def test_a_graph_that_nobody_could_read_is_not_drawn() -> None:
    plan = a_plan(*[(f"f{n}",) for n in range(GRAPH_LIMIT + 1)])
    text = render_markdown(build_report(Teller(plan).events, plan, now=1.0))
    assert "```mermaid" not in text
    assert "101 features are too many to draw" in text


@pytest.mark.parametrize("name", SCENARIOS)
def test_no_text_of_others_becomes_markup(name: str) -> None:
    """Links, tags and images would have to come from an agent, as we write none."""
    found = tokens_of(render_markdown(report_of(name)))
    assert not {token.type for token in found} & {"html_block", "html_inline", "link_open", "image", "em_open"}
    assert "\x1b" not in render_markdown(report_of(name))


HOSTILE = st.text() | st.lists(
    st.sampled_from(
        ["```", "````", "~~~", "|", "\n", "\n\n", "<b>", "</pre>", "[x](http://e)", "![i](u)", "*a*", "_b_", "# h", "`", "&lt;",
         "\\", "- x", "1. x", "+ x", "<!--", "$$", "@me", "http://e.example", "\x1b[31m", "\u202e", "---", "===", "    x", "\ud800"]
    ),
    max_size=8,
).map("".join)  # fmt: skip


@given(text=HOSTILE)
def test_escape_shows_exactly_the_text(text: str) -> None:
    """As a paragraph and as a cell: nothing but text, and all of it."""
    for document in (f"{escape(text)}\n", f"| a | b |\n| --- | --- |\n| {escape(text)} | end |\n"):
        found = tokens_of(document)
        kinds = {token.type for token in found if not token.type.endswith(("_open", "_close"))}
        assert kinds <= {"inline", "text", "text_special"}
        shown = "".join(token.content for token in found if token.type in ("text", "text_special"))
        expected = clean(text).strip()
        assert shown in (expected, f"ab{expected}end")


@given(text=HOSTILE)
def test_a_fence_holds_exactly_the_text(text: str) -> None:
    found = MARKDOWN.parse(f"one\n\n{fenced(text)}\n\ntwo\n")
    paragraph = ["paragraph_open", "inline", "paragraph_close"]
    assert [token.type for token in found] == [*paragraph, "fence", *paragraph]
    fence = found[3]
    assert fence.content == (clean_block(text).strip("\n") + "\n")


@given(text=HOSTILE)
def test_code_ends_neither_itself_nor_its_cell(text: str) -> None:
    found = tokens_of(f"| a | b |\n| --- | --- |\n| {code(text)} | end |\n")
    assert [token.content for token in found if token.type == "inline"][-1] == "end"
    assert not {token.type for token in found} & {"html_inline", "link_open", "image", "em_open", "strong_open"}


def test_a_run_that_broke_off_says_so_and_stands_still() -> None:
    scenario = SCENARIOS["under_way"]()
    later = scenario.end + 5000.0
    report = build_report(scenario.events, scenario.plan, now=later, is_driven=False)
    VALIDATOR.validate(json.loads(render_json(report)))
    api = feature(report, "api")
    assert (report.run.status, report.run.broken_off, api.cut_off) == ("running", True, True)
    assert (api.attempts[0].invocations[0].end, api.attempts[0].invocations[0].why) == ("lost", "its engine died")
    assert report.time.wall_s == build_report(scenario.events, scenario.plan, now=scenario.end).time.wall_s
    assert [step.command for step in report.next] == ["orchestrate resume"]
    text = render_markdown(report)
    assert text.startswith(f"# Run {logs.RUN} of shop: broken off\n")
    assert "| api | 2 | ⊘ cut off |" in text
    assert "| api | 1 | cut off |" in text
    assert "It took 1:02;" in text


def test_a_live_report_counts_what_agents_at_work_have_used() -> None:
    scenario = SCENARIOS["under_way"]()
    api = next(e.attempt for e in scenario.events if isinstance(e, ev.InvocationStarted) and e.feature == "api")
    used = ev.InvocationProgressed(scenario.end, "api", api, 1, "Edit api.py", 2, ev.Tokens(100), 0.07)
    report = build_report([*scenario.events, used], scenario.plan, now=scenario.end, is_driven=True)
    assert (report.totals.live_cost_usd, feature(report, "api").live_cost_usd) == (0.07, 0.07)
    assert report.totals.spent.cost_usd == 0.25
    text = render_markdown(report)
    assert "It cost $0.32 so far (of it $0.07 by agents that have not ended) for" in text
    assert "| api | 2 | ◐ working | 1/2 | 0:03 | $0.07 |" in text
    assert "| api | 1 | under way | 0:02 | 0:01 | 0:00 | 0:00 | 0:00 | $0.07 |" in text


def test_a_conflict_is_told_with_the_other_side_and_the_remedy() -> None:
    report = report_of("conflict")
    web = feature(report, "web")
    assert web.conflicts_with == ("api",)
    text = render_markdown(report)
    assert "Conflicts in `app.py`, `` we`ird\\|.py `` with api." in text
    assert f"let it depend on `api` (`depends_on`). To resolve it, merge `{web.branch}` by hand." in text


def test_a_failed_setup_is_told_with_its_output() -> None:
    t = Teller(a_plan(("api",)))
    t.begin()
    t.start("api")
    why = "npm ci (exit code 1)\nnpm ERR! code E404\nnpm ERR! not found"
    t.tell(ev.WorktreeFailed(t.now, "api", 1, "setup", why))
    t.conclude("api", "failed", why)
    t.end("incomplete")
    report = build_report(t.events, t.plan, now=t.now)
    assert feature(report, "api").reason == "setup failed: npm ci (exit code 1): npm ERR! not found"
    text = render_markdown(report)
    assert "```text\nnpm ERR! code E404\nnpm ERR! not found\n```" in text


def test_who_asked_for_what_is_in_the_report() -> None:
    report = report_of("cancelled_and_retried")
    assert [(c.what, c.by, c.features, c.control) for c in report.controls] == [
        ("cancel", logs.ANNA, ("api", "faq"), 1),
        ("retry", logs.ANNA, ("api",), 2),
    ]
    text = render_markdown(report)
    assert "## Pauses and requests" in text
    assert "| 2026-11-18 11:07:42 | anna&#64;laptop cancelled api, faq |" in text
    assert "Work in progress was saved 1 time." in text


def test_a_pause_is_a_wait() -> None:
    report = report_of("paused")
    (pause,) = report.pauses
    assert (pause.cause, pause.by, pause.ended_by, pause.now) == ("operator", logs.ANNA, "bob@desk", False)
    assert 3600.0 < report.time.held_s < report.time.active_s
    assert "(of it 1:01:01 paused)" in render_markdown(report)


def test_what_the_machine_forced_is_a_pause_and_no_request() -> None:
    report = report_of("disk_full")
    assert (report.controls, [pause.cause for pause in report.pauses]) == ((), ["disk"])
    assert "paused: no room on the disk (0&#46;1 GB are free), until 2026-" in render_markdown(report)


def test_what_is_in_no_branch_is_listed_with_what_brings_it_back() -> None:
    (kept,) = report_of("standing_still").kept
    assert (kept.feature, kept.attempt, kept.outcome) == ("api", 1, None)
    assert kept.ref == f"refs/orchestrate/{logs.RUN}/api/1"
    text = render_markdown(report_of("standing_still"))
    assert f"`orchestrate recover api@1 --run {logs.RUN} --branch recovered/api`" in text
    assert "| api | 1 | ‖ paused |" in text
    assert report_of("happy_diamond").kept == ()


def test_numbers_and_words_agree() -> None:
    text = render_markdown(report_of("rework"))
    assert "**1 of 1 feature is integrated.**" in text
    nothing = render_markdown(build_report(logs.rework().events[:3], logs.rework().plan, now=logs.START))
    assert "**0 of 1 feature is integrated.**" in nothing
    assert "**0 of 2 features are integrated.**" in render_markdown(report_of("cancelled"))


def test_attempts_that_count_for_nothing_are_told_beside_the_tries() -> None:
    table = render_markdown(report_of("postponed"))
    row = next(line for line in table.splitlines() if line.startswith("| dash "))
    assert row.split(" | ")[3] == "1/2 (+1 not counted)"


def test_the_speed_is_that_of_the_time_with_an_engine() -> None:
    with_gap, without = (render_markdown(report_of(name)) for name in ("restart", "happy_diamond"))
    assert "times as fast as one worker, while an engine was there." in with_gap
    assert "times as fast as one worker. The chain" in without
    assert "with those that were merged;" in without
