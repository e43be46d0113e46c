"""Plans as text: loss-free, readable for ever, and honest about what has moved."""

from __future__ import annotations

import json
from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrate.core.plan import Command, Estimate, Feature, Plan, build_plan
from orchestrate.errors import InputRefused
from orchestrate.spec.frozen import (
    FrozenPlan,
    digest_of,
    moved,
    parse_frozen,
    parse_plan,
    render_frozen,
    render_plan,
)
from orchestrate.spec.load import Loaded
from tests.support.projects import Project

TEXT = st.text(max_size=12)
WORDS = st.lists(TEXT, max_size=2).map(tuple)
MONEY = st.floats(0, 1e6)
COMMANDS = st.lists(
    st.builds(Command, TEXT, TEXT, MONEY, st.sampled_from(["feature", "integration", "both"])), max_size=2
).map(tuple)
FEATURES = st.builds(
    Feature,
    id=st.sampled_from("abcdef"),
    name=TEXT,
    prompt=TEXT,
    description=TEXT,
    prompt_file=TEXT,
    depends_on=st.just(()),
    priority=st.integers(),
    tags=WORDS,
    agent=TEXT,
    model=TEXT,
    setup=COMMANDS,
    verify=COMMANDS,
    touches=WORDS,
    expects_changes=st.booleans(),
    timeout_s=MONEY,
    max_attempts=st.integers(),
    max_reworks=st.integers(),
    max_cost_usd=st.none() | MONEY,
    estimate=st.builds(Estimate, st.integers(), MONEY, MONEY, TEXT),
    creates=WORDS,
    uses=WORDS,
    env=st.lists(st.tuples(TEXT, TEXT), max_size=2).map(tuple),
)


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    features = draw(st.lists(FEATURES, max_size=6, unique_by=lambda feature: feature.id))
    linked = [
        replace(feature, depends_on=tuple(other.id for other in features[:number] if draw(st.booleans())))
        for number, feature in enumerate(features)
    ]
    start_on, schedule = draw(st.sampled_from([("verified", "ready"), ("integrated", "waves")]))
    return build_plan(linked, start_on=start_on, schedule=schedule)  # type: ignore[arg-type]


@given(plans())
def test_a_plan_survives_being_text(plan: Plan) -> None:
    again = parse_plan(render_plan(plan))
    assert again == plan
    assert list(again.features) == list(plan.features)


def test_every_field_of_a_feature_and_a_plan_is_written() -> None:
    row = json.loads(render_plan(build_plan([Feature("a")])))
    assert set(row["features"][0]) == {field.name for field in fields(Feature)}
    assert set(row) == {field.name for field in fields(Plan)} - {"wave_of"} | {"version"}


def test_a_text_from_before_a_field_existed_is_read_with_its_default() -> None:
    text = (
        '{"version":1,"start_on":"verified","schedule":"ready","features":[{"id":"a","prompt":"x"}],'
        '"waves":[["a"]],"rank":{"a":300.0},"dependents":{"a":[]},"critical_path":["a"]}'
    )
    assert parse_plan(text) == build_plan([Feature("a", prompt="x")])


def plan_text(**keys: object) -> str:
    return json.dumps({**json.loads(render_plan(build_plan([Feature("a"), Feature("b", depends_on=("a",))]))), **keys})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not a plan"),
        ("[]", "is not a plan"),
        ("{}", "is not a plan"),
        ("[" * 100_000, "is not a plan"),
        (plan_text(version=2), "has version 2; this program reads 1"),
        (plan_text(version="1"), "is not a plan"),
        (plan_text(features=[{}]), "is damaged"),
        (plan_text(features=3), "is damaged"),
        (plan_text(waves=[["a"]]), "its features are not those of its waves"),
        (plan_text(waves=[["b"], ["a"]]), "the dependencies of b do not come before it"),
        (plan_text(rank={}), "its features are not those of its waves"),
    ],
)
def test_a_text_that_is_no_plan_is_refused(text: str, message: str) -> None:
    with pytest.raises(InputRefused) as refused:
        parse_plan(text)
    assert message in refused.value.problems[0].message
    assert refused.value.problems[0].hint


# ── frozen ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def listed(project: Project) -> Project:
    project.write_features(
        {"id": "a", "prompt": "one"}, {"id": "b", "prompt": "two", "depends_on": ["a"]}, {"id": "c", "prompt": "three"}
    )
    return project


def freeze(loaded: Loaded, *ids: str) -> FrozenPlan:
    chosen = [feature for feature in loaded.features if not ids or feature.id in ids]
    inside = {feature.id for feature in chosen}
    cut = [replace(f, depends_on=tuple(d for d in f.depends_on if d in inside)) for f in chosen]
    return FrozenPlan(
        version="0.1.0",
        created_at="2026-11-21T10:00:00Z",
        config="config/feature_list.json",
        base_branch="main",
        base="a" * 40,
        selection=" ".join(ids),
        inputs=loaded.inputs_digest,
        settings=loaded.settings_digest,
        prompts={name: loaded.prompt_digests[name] for name in inside},
        plan=build_plan(cut),
    )


def test_a_frozen_plan_survives_being_a_file(listed: Project) -> None:
    frozen = freeze(listed.load())
    assert parse_frozen(render_frozen(frozen)) == frozen
    assert moved(frozen, listed.load(), "a" * 40) == ()


def test_layout_may_change_but_nothing_else(listed: Project) -> None:
    frozen = freeze(listed.load())
    text = render_frozen(frozen)
    assert parse_frozen(json.dumps(json.loads(text), indent=4)) == frozen
    with pytest.raises(InputRefused) as refused:
        parse_frozen(text.replace('"prompt": "one"', '"prompt": "ONE"'), "plan.json")
    assert refused.value.problems[0].message == "the plan was changed after it was written"
    assert refused.value.problems[0].place == "plan.json"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("no", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("{}", "is not one"),
        ("[]", "is not one"),
        ('{"schema": "orchestrate/plan/v9"}', "has the format orchestrate/plan/v9"),
        ('{"schema": "orchestrate/plan/v1"}', "was changed after it was written"),
    ],
)
def test_a_file_that_is_no_frozen_plan_is_refused(text: str, message: str) -> None:
    with pytest.raises(InputRefused) as refused:
        parse_frozen(text)
    assert message in refused.value.problems[0].message


def test_a_frozen_plan_without_one_of_its_keys_is_refused(listed: Project) -> None:
    body = json.loads(render_frozen(freeze(listed.load())))
    del body["base"], body["digest"]
    with pytest.raises(InputRefused) as refused:
        parse_frozen(json.dumps({**body, "digest": digest_of(body)}))
    assert refused.value.problems[0].message == "the plan lacks the key 'base'"


def test_what_moved_is_named(listed: Project) -> None:
    frozen = freeze(listed.load())
    listed.write_list(
        verify=["pytest"],
        features=[
            {"id": "a", "prompt": "ONE", "priority": 3},
            {"id": "b", "prompt": "two"},
            {"id": "d", "prompt": "x"},
        ],
    )
    assert moved(frozen, listed.load(), "b" * 40) == (
        "main was at aaaaaaaaaaaa and is at bbbbbbbbbbbb",
        "feature a: prompt, priority, verify changed",
        "feature c is not in the list any more",
        "feature b: depends_on, verify changed",
        "feature d is new",
        "settings, context, rules or template changed",
    )


def test_what_was_not_selected_may_move(listed: Project) -> None:
    frozen = freeze(listed.load(), "b")
    listed.write_features(
        {"id": "a", "prompt": "ONE"}, {"id": "b", "prompt": "two", "depends_on": ["a"]}, {"id": "d", "prompt": "x"}
    )
    assert moved(frozen, listed.load(), "a" * 40) == ()
