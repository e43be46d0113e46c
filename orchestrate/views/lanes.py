"""A graph as lanes, one line a feature: each feature opens a lane that stays until its last dependent.

Invariant: the order is topological; every dependency of a feature is joined to it on the feature's own line.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

MOST_LANES = 16
"""A wider drawing is no longer read; the waves are shown as a tree instead."""


@dataclass(frozen=True, slots=True)
class Pen:
    """The characters of a drawing. branch: the lane goes on; last: it ends here; join, join_last: the same in passing."""

    node: str = "●"
    lane: str = "│"
    dash: str = "─"
    branch: str = "├"
    last: str = "╰"
    join: str = "┼"
    join_last: str = "┴"
    tree: str = "├─"
    tree_last: str = "╰─"


UNICODE = Pen()
ASCII = Pen("*", "|", "-", "|", "\\", "+", "'", "|-", "`-")


def pen(*, ascii_only: bool) -> Pen:
    """The pen for a terminal that shows all characters, or only ASCII."""
    return ASCII if ascii_only else UNICODE


def lanes(
    order: Sequence[str],
    depends_on: Mapping[str, Sequence[str]],
    *,
    ascii_only: bool = False,
    most: int = MOST_LANES,
) -> tuple[str, ...] | None:
    """One drawing a feature, in that order, padded to the same width; None when it takes more than `most` lanes."""
    chars = pen(ascii_only=ascii_only)
    shown = set(order)
    open_ends = dict.fromkeys(order, 0)
    for fid in order:
        for needed in depends_on[fid]:
            if needed in shown:
                open_ends[needed] += 1
    columns: list[str | None] = []
    rows: list[str] = []
    for fid in order:
        needs = {needed for needed in depends_on[fid] if needed in shown}
        joined = [i for i, owner in enumerate(columns) if owner in needs]
        for needed in needs:
            open_ends[needed] -= 1
        ending = {i for i in joined if open_ends[columns[i] or ""] == 0}
        own = _free_lane(columns, after=max(joined, default=-1))
        if own >= most:
            return None
        if own == len(columns):
            columns.append(None)
        rows.append(_row(columns, own, joined, ending, chars))
        for i in ending:
            columns[i] = None
        columns[own] = fid if open_ends[fid] else None
        while columns and columns[-1] is None:
            columns.pop()
    width = max((len(row) for row in rows), default=0)
    return tuple(row.ljust(width) for row in rows)


def _free_lane(columns: Sequence[str | None], *, after: int) -> int:
    """First free lane to the right of all that join, so that every line runs left to right."""
    return next((i for i in range(after + 1, len(columns)) if columns[i] is None), len(columns))


def _row(columns: Sequence[str | None], own: int, joined: Sequence[int], ending: set[int], chars: Pen) -> str:
    first = min(joined, default=own)
    cells: list[str] = []
    for i, owner in enumerate(columns):
        if i == own:
            cell = chars.node
        elif i in joined:
            at_edge = (chars.last, chars.branch) if i == first else (chars.join_last, chars.join)
            cell = at_edge[0] if i in ending else at_edge[1]
        elif owner is not None:
            cell = chars.lane  # a foreign lane: the line jumps over it
        else:
            cell = chars.dash if first < i < own else " "
        cells.append(cell + (chars.dash if first <= i < own else " "))
    return "".join(cells).rstrip()


def wave_tree(waves: Sequence[Sequence[str]], *, ascii_only: bool = False) -> tuple[tuple[str, str], ...]:
    """What is drawn instead of too many lanes: (drawing, id) a line, with an id of "" on the line of a wave."""
    chars = pen(ascii_only=ascii_only)
    lines: list[tuple[str, str]] = []
    for number, wave in enumerate(waves, start=1):
        lines.append((f"wave {number}", ""))
        lines += [(chars.tree_last if fid == wave[-1] else chars.tree, fid) for fid in wave]
    return tuple(lines)
