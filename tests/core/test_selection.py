"""The selection grammar, on one small graph: a → b, c → d (b, c) → e; lone f."""

from __future__ import annotations

import pytest

from orchestrate.core.plan import Feature, build_plan
from orchestrate.core.selection import Selection, narrowed, selected, unmet_needs
from orchestrate.errors import ExitCode, OrchestrateError

PLAN = build_plan(
    [
        Feature("a", tags=("core",)),
        Feature("b", depends_on=("a",), tags=("ui", "core")),
        Feature("c", depends_on=("a",)),
        Feature("d", depends_on=("b", "c"), tags=("ui",)),
        Feature("e", depends_on=("d",)),
        Feature("f"),
    ]
)


def ids(*select: str, exclude: tuple[str, ...] = (), failed: frozenset[str] | None = None) -> str:
    return "".join(sorted(selected(PLAN, Selection(select, exclude, failed))))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("b", "b"),
        ("b+", "bde"),
        ("+d", "abcd"),
        ("+b+", "abde"),
        ("1+d", "bcd"),
        ("0+d", "d"),
        ("a+1", "abc"),
        ("1+d+1", "bcde"),
        ("@c", "abcde"),
        ("@f", "f"),
        ("tag:ui", "bd"),
        ("tag:u*", "bd"),
        ("tag:core+1", "abcd"),
        ("wave:1", "af"),
        ("wave:2", "bc"),
        ("[bc]", "bc"),
        ("*", "abcdef"),
        ("a f", "af"),
        ("tag:ui,tag:core", "b"),
        ("+d,b+", "bd"),
        ("tag:ui,tag:core f", "bf"),
    ],
)
def test_means(text: str, expected: str) -> None:
    assert ids(text) == expected


def test_everything_by_default() -> None:
    assert ids() == "abcdef"
    assert Selection().is_everything


def test_several_texts_are_a_union() -> None:
    assert ids("a", "e") == "ae"


def test_exclude_is_taken_away() -> None:
    assert ids("+e", exclude=("+b",)) == "cde"
    assert ids(exclude=("d+ f",)) == "abc"


def test_failed_narrows() -> None:
    assert ids(failed=frozenset("bd")) == "bd"
    assert ids("d+", failed=frozenset("bd")) == "d"


def test_answer_is_in_plan_order() -> None:
    assert selected(PLAN, Selection(("e a c",))) == ("a", "c", "e")


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("aa", "no feature 'aa'", "did you mean a?"),
        ("zzz", "no feature 'zzz'", "`orchestrate ls`"),
        ("tag:cor", "'tag:cor' matches no feature", "did you mean tag:core?"),
        ("tag:zzz", "'tag:zzz' matches no feature", "tags are: core, ui"),
        ("wave:9", "'wave:9' is no wave", "wave:1 to wave:4"),
        ("wave:0", "is no wave", "wave:1"),
        ("wave:" + "9" * 5000, "is no wave", "wave:1"),
        ("wave:²", "is no wave", "wave:1"),
        ("path:x", "'path:'", "known are tag: and wave:"),
        ("a,", "comma", "for example"),
        ("++a", "is no selection", "for example"),
        ("@a+", "is no selection", "for example"),
        ("+", "is no selection", "for example"),
        ("x*", "'x*' matches no feature", "`orchestrate ls`"),
    ],
)
def test_refuses(text: str, message: str, hint: str) -> None:
    with pytest.raises(OrchestrateError) as refused:
        ids(text)
    assert message in refused.value.message
    assert hint in refused.value.hint
    assert refused.value.code is ExitCode.REFUSED


def test_nothing_selected_is_refused() -> None:
    with pytest.raises(OrchestrateError, match="nothing selected") as refused:
        ids("a,f")
    assert refused.value.code is ExitCode.REFUSED
    with pytest.raises(OrchestrateError) as refused:
        ids(failed=frozenset())
    assert refused.value.hint == "nothing failed in the last run"


def test_narrowed_keeps_only_dependencies_among_the_chosen() -> None:
    features = narrowed(PLAN, ("b", "d"), done={"a", "c"})
    assert [(f.id, f.depends_on) for f in features] == [("b", ()), ("d", ("b",))]


def test_unmet_needs() -> None:
    assert unmet_needs(PLAN, ("b", "d")) == (("b", "a"), ("d", "c"))
    assert unmet_needs(PLAN, tuple(PLAN.features)) == ()


def test_unmet_need_is_refused_with_what_to_add() -> None:
    with pytest.raises(
        OrchestrateError, match="d needs b; d needs c: neither selected nor part of the base"
    ) as refused:
        narrowed(PLAN, ("d", "e"))
    assert "+d" in refused.value.hint
    with pytest.raises(OrchestrateError, match="d needs c"):
        narrowed(PLAN, ("b", "d"), done={"a"})


def test_selection_reads_as_it_was_typed() -> None:
    assert str(Selection(("a+",), ("tag:ui",), frozenset("a"))) == "--select 'a+' --exclude 'tag:ui' --failed"


def test_a_long_chain_does_not_recurse() -> None:
    chain = build_plan([Feature("n0"), *(Feature(f"n{i}", depends_on=(f"n{i - 1}",)) for i in range(1, 5000))])
    assert len(selected(chain, Selection(("n0+",)))) == 5000
    assert len(selected(chain, Selection(("@n4999",)))) == 5000
