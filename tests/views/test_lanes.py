"""Lane drawings, as one sees them."""

from __future__ import annotations

from orchestrate.views.lanes import MOST_LANES, lanes, wave_tree

DIAMOND = {"a": [], "b": ["a"], "c": ["a"], "d": ["b", "c"]}


def drawing(graph: dict[str, list[str]], *, ascii_only: bool = False) -> str:
    rows = lanes(list(graph), graph, ascii_only=ascii_only)
    assert rows is not None
    assert len({len(row) for row in rows}) == 1
    return "\n".join(f"{row}  {fid}" for row, fid in zip(rows, graph, strict=True))


def test_diamond() -> None:
    assert drawing(DIAMOND).splitlines() == ["●        a", "├─●      b", "╰─│─●    c", "  ╰─┴─●  d"]


def test_diamond_in_ascii() -> None:
    picture = drawing(DIAMOND, ascii_only=True)
    assert picture.isascii()
    assert picture.splitlines()[-1] == "  \\-'-*  d"


def test_lane_that_goes_on_is_joined_in_passing() -> None:
    graph = {"a": [], "b": [], "c": ["a", "b"], "d": ["b"]}
    assert drawing(graph).splitlines() == ["●      a", "│ ●    b", "╰─┼─●  c", "  ╰─●  d"]


def test_lone_features_take_one_lane() -> None:
    assert drawing({"a": [], "b": [], "c": []}).splitlines() == ["●  a", "●  b", "●  c"]


def test_dependencies_outside_the_order_are_left_out() -> None:
    assert lanes(["b"], {"b": ["a"]}) == ("●",)


def test_too_wide_a_graph_is_not_drawn() -> None:
    def fan(width: int) -> dict[str, list[str]]:
        sources = [f"s{i}" for i in range(width)]
        return {**{s: [] for s in sources}, "end": sources}

    at_the_edge, beyond = fan(MOST_LANES - 1), fan(MOST_LANES)
    assert lanes(list(at_the_edge), at_the_edge) is not None
    assert lanes(list(beyond), beyond) is None


def test_nothing_to_draw() -> None:
    assert lanes([], {}) == ()


def test_tree_of_waves() -> None:
    assert wave_tree([["a", "b"], ["c"]]) == (
        ("wave 1", ""),
        ("├─", "a"),
        ("╰─", "b"),
        ("wave 2", ""),
        ("╰─", "c"),
    )
    assert wave_tree([["a"]], ascii_only=True)[1] == ("`-", "a")
