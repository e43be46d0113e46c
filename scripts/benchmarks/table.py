"""One row of the table: a figure, what it is held against, and whether that is good enough."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Row:
    """figure and against: in `unit`. limit: the most that figure ÷ against may be; None: shown, not judged."""

    letter: str
    what: str
    figure: float
    unit: str
    baseline: str
    against: float
    limit: float | None = None

    @property
    def ratio(self) -> float:
        return self.figure / self.against if self.against else float("inf")

    @property
    def verdict(self) -> str:
        if self.limit is None:
            return ""
        return "ok" if self.ratio <= self.limit else "MISSED"

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"ratio": round(self.ratio, 4), "verdict": self.verdict}


HEAD = ("", "what", "figure", "baseline", "", "ratio", "target", "")


def render_table(rows: Sequence[Row]) -> str:
    """Aligned text, one line a row, figures to the right."""
    cells = [HEAD]
    for row in rows:
        target = "" if row.limit is None else f"≤ {row.limit:g}"
        figure, against = (f"{_shown(value)} {row.unit}" for value in (row.figure, row.against))
        cells.append((row.letter, row.what, figure, row.baseline, against, f"{row.ratio:.2f}", target, row.verdict))
    widths = [max(len(line[i]) for line in cells) for i in range(len(HEAD))]
    to_the_right = {2, 4, 5}
    return "\n".join(
        "  ".join(
            c.rjust(w) if i in to_the_right else c.ljust(w) for i, (c, w) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in cells
    )


def _shown(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"
