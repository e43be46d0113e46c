"""Cycles: found exactly where networkx finds a knot."""

from __future__ import annotations

import networkx as nx
from hypothesis import given
from hypothesis import strategies as st

from orchestrate.spec.circles import circles

NAMES = [f"f{number}" for number in range(8)]
GRAPHS = st.fixed_dictionaries({name: st.lists(st.sampled_from(NAMES), unique=True, max_size=3) for name in NAMES})


@given(GRAPHS)
def test_one_cycle_for_every_knot(graph: dict[str, list[str]]) -> None:
    components: list[set[str]] = list(nx.strongly_connected_components(nx.DiGraph(graph)))
    knots = [knot for knot in components if len(knot) > 1]
    found = circles(graph)
    assert len(found) == len(knots)
    for circle in found:
        assert any(set(circle) <= knot for knot in knots)
        assert len(set(circle)) == len(circle) > 1
        assert all(after in graph[name] for name, after in zip(circle, (*circle[1:], circle[0]), strict=True))


def test_the_shortest_way_round_is_told() -> None:
    assert circles({"a": ["b", "d"], "b": ["c"], "c": ["a"], "d": ["a"], "e": ["e"]}) == (("a", "d"),)


def test_ten_thousand_in_a_row_need_no_stack() -> None:
    assert circles({str(n): [str(n + 1)] if n < 9_999 else [] for n in range(10_000)}) == ()
