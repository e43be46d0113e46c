"""The plan as text and as a document, from one value."""

from __future__ import annotations

import json

import pytest

from orchestrate.core.plan import Command, Estimate, Feature, build_plan
from orchestrate.views.plan import PlanView, listing_document, listing_lines, plan_document, plan_lines
from orchestrate.views.text import display_width

CHECK = Command("tests", "pytest -q")


def feature(
    fid: str, *needs: str, minutes: float = 5, agent: str = "claude", verify: tuple[Command, ...] = (CHECK,)
) -> Feature:
    estimate = Estimate(10_000, 0.06, minutes * 60, "feature list" if minutes != 5 else "default")
    return Feature(fid, depends_on=needs, estimate=estimate, agent=agent, verify=verify)


def view(*features: Feature, listed: int = 0, selection: str = "", parallel: int = 2, **plan: str) -> PlanView:
    return PlanView(
        plan=build_plan(features, **plan),  # type: ignore[arg-type]
        project="Shop",
        config="config/feature_list.json",
        base="35c6f9c0" * 5,
        base_branch="main",
        branch_prefix="orch",
        parallel=parallel,
        listed=listed or len(features),
        selection=selection,
    )


DIAMOND = (feature("a"), feature("b", "a", minutes=20), feature("c", "a"), feature("d", "b", "c"))


def test_lines() -> None:
    assert plan_lines(view(*DIAMOND), width=100) == [
        "Shop: 4 features in 3 waves, 2 agents at a time",
        "  base      main at 35c6f9c035",
        "  branches  orch/<run>/feature/<id>/1, meeting in orch/<run>/integration",
        "  checks    pytest -q",
        "  list      config/feature_list.json",
        "",
        "●       a  wave 1  ~5 min",
        "├─●     b  wave 2  ~20 min  ← a",
        "╰─│─●   c  wave 2  ~5 min   ← a",
        "  ╰─┴─● d  wave 3  ~5 min   ← b, c",
        "",
        "critical path  a → b → d (~30 min)",
        "estimate       40k tokens, ~$0.24, ~35 min of work (3 by default, 1 by feature list)",
        "time           at best ~30 min with 2 agents, 1.2 times as fast as one by one",
    ]


def test_what_differs_from_the_ordinary_is_said() -> None:
    lines = plan_lines(view(*DIAMOND[:1], listed=4, selection="--select 'a'", parallel=1, start_on="integrated"))
    assert lines[0] == "Shop: 1 of 4 features in 1 wave, 1 agent at a time"
    assert "  selection  --select 'a'" in lines
    assert "  order      start_on integrated, schedule ready" in lines


@pytest.mark.parametrize(
    ("checks", "said"),
    [
        (((), ()), "none: what the agents do is not tested (set verify)"),
        (((CHECK,), (CHECK, Command("lint", "ruff check"))), "pytest -q"),
        (((CHECK,), (Command("lint", "ruff check"),)), "by feature"),
        (((CHECK,), ()), "by feature; 1 feature without any"),
    ],
)
def test_checks(checks: tuple[tuple[Command, ...], ...], said: str) -> None:
    features = [feature(f"f{i}", verify=verify) for i, verify in enumerate(checks)]
    assert f"  checks    {said}" in plan_lines(view(*features))


def test_agents_are_named_when_they_differ() -> None:
    lines = plan_lines(view(feature("a"), feature("b", agent="scripted")))
    assert lines[6].split() == ["●", "a", "wave", "1", "~5", "min", "claude"]
    assert lines[7].split()[-1] == "scripted"


@pytest.mark.parametrize("width", [20, 40, 60, 80, 200])
def test_rows_fit_the_terminal(width: int) -> None:
    wide = view(
        *(feature(f"feature-number-{i}") for i in range(9)), feature("end", *(f"feature-number-{i}" for i in range(9)))
    )
    lines = plan_lines(wide, width=width)
    rows = lines[lines.index("") + 1 :][:10]
    assert rows[0].startswith("●")
    assert all(display_width(row) <= width for row in rows)


def test_too_many_lanes_become_a_tree_of_waves() -> None:
    sources = [feature(f"s{i:02}") for i in range(20)]
    lines = plan_lines(view(*sources, feature("end", *(f.id for f in sources))))
    assert lines[6] == "wave 1"
    assert lines[7].startswith("├─ s00")
    assert lines[26].startswith("╰─ s19")
    assert lines[27:29] == ["wave 2", lines[28]]
    assert lines[28].startswith("╰─ end")


def test_many_features_are_shown_by_wave() -> None:
    many = view(*(feature(f"f{i:03}") for i in range(300)), feature("end", "f000"))
    lines = plan_lines(many)
    assert lines[6].split()[:4] == ["wave", "1", "300", "features"]
    assert lines[7].split()[:4] == ["wave", "2", "1", "feature"]
    assert "--full" in lines[8]
    assert sum("wave 1" in line or "f2" in line for line in plan_lines(many, full=True)) >= 300


def test_a_long_critical_path_is_shortened() -> None:
    chain = [feature("n0"), *(feature(f"n{i}", f"n{i - 1}") for i in range(1, 50))]
    text = " ".join(plan_lines(view(*chain)))
    assert "n0 → n1 → n2 → n3 → n4 → … 40 more … → n45 →" in " ".join(text.split())


def test_hostile_names_do_no_harm() -> None:
    hostile = PlanView(view(*DIAMOND).plan, "a\x1b[2Jb\u202e", "c\x07.json", "0" * 40, "main", "orch", 2, 4)
    assert not set("\x1b\x07\u202e") & set("".join(plan_lines(hostile)))


def test_document_holds_what_the_text_shows() -> None:
    shown = view(*DIAMOND, selection="--select '+d'")
    document = json.loads(json.dumps(plan_document(shown)))
    assert document["schema"] == "orchestrate/plan-summary/v1"
    assert document["base"] == {"branch": "main", "commit": "35c6f9c0" * 5}
    assert document["integration_branch"] == "orch/<run>/integration"
    assert document["waves"] == [["a"], ["b", "c"], ["d"]]
    assert document["critical_path"] == ["a", "b", "d"]
    assert document["totals"] == {
        "features": 4,
        "listed": 4,
        "tokens": 40_000,
        "cost_usd": 0.24,
        "work_s": 2100.0,
        "critical_path_s": 1800.0,
        "bound_s": 1800.0,
        "speedup_bound": 1.167,
        "estimate_sources": {"default": 3, "feature list": 1},
    }
    b = document["features"][1]
    assert (b["id"], b["wave"], b["branch"], b["critical"], b["checks"]) == (
        "b",
        2,
        "orch/<run>/feature/b/1",
        True,
        ["pytest -q"],
    )
    assert b["rank_s"] == 1500.0
    assert b["estimate"] == {"tokens": 10_000, "cost_usd": 0.06, "duration_s": 1200.0, "source": "feature list"}


def test_an_empty_plan() -> None:
    assert plan_lines(view())[0] == "Shop: 0 features in 0 waves, 2 agents at a time"
    assert view().speedup == 1.0


def test_listing() -> None:
    plan = build_plan([Feature("a", name="The base", tags=("core",)), Feature("bb", depends_on=("a",))])
    assert listing_lines(plan, ("a", "bb")) == ["a   wave 1  core  The base", "bb  wave 2                  ← a"]
    assert [f["id"] for f in listing_document(plan, ("bb",))["features"]] == ["bb"]
