"""Cycles in a dependency graph, one for each knot, without recursion and without networkx. Pure.

Chains of thousands are ordinary input here, and loading must stay cheap for commands that draw no graph.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

Graph = Mapping[str, Sequence[str]]
"""Feature → what it depends on; everything mentioned is a key."""


def circles(graph: Graph) -> tuple[tuple[str, ...], ...]:
    """For every knot of features that depend on one another: a shortest cycle through its first feature.

    Each reads as "depends on": `("a", "b")` is a → b → a. A self-dependency is not reported. Order of the graph.
    """
    order = {name: number for number, name in enumerate(graph)}
    found = []
    for knot in _knots(graph):
        members = set(knot)
        first = min(members, key=order.__getitem__)
        found.append(_shortest(graph, members, first))
    return tuple(sorted(found, key=lambda circle: order[circle[0]]))


def _knots(graph: Graph) -> list[list[str]]:
    """Strongly connected components of more than one feature (Tarjan 1972, with a stack of our own)."""
    number: dict[str, int] = {}
    low: dict[str, int] = {}
    path: list[str] = []
    on_path: set[str] = set()
    knots: list[list[str]] = []
    for root in graph:
        if root in number:
            continue
        work: list[tuple[str, int]] = [(root, 0)]
        while work:
            node, child = work.pop()
            if child == 0:
                number[node] = low[node] = len(number)
                path.append(node)
                on_path.add(node)
            else:
                low[node] = min(low[node], low[graph[node][child - 1]])
            for position in range(child, len(graph[node])):
                below = graph[node][position]
                if below not in number:
                    work += [(node, position + 1), (below, 0)]
                    break
                if below in on_path:
                    low[node] = min(low[node], number[below])
            else:
                if low[node] == number[node]:
                    knot = [path.pop()]
                    while knot[-1] != node:
                        knot.append(path.pop())
                    on_path.difference_update(knot)
                    if len(knot) > 1:
                        knots.append(knot)
    return knots


def _shortest(graph: Graph, members: set[str], first: str) -> tuple[str, ...]:
    """Breadth first inside the knot, from `first` until something leads back to it."""
    came_from = {first: first}
    edge = [first]
    while edge:
        further = []
        for node in edge:
            for below in graph[node]:
                if below == first and node != first:
                    return _trace(came_from, first, node)
                if below in members and below not in came_from:
                    came_from[below] = node
                    further.append(below)
        edge = further
    raise AssertionError(f"no cycle through {first}")


def _trace(came_from: Mapping[str, str], first: str, last: str) -> tuple[str, ...]:
    steps = [last]
    while steps[-1] != first:
        steps.append(came_from[steps[-1]])
    return tuple(reversed(steps))
