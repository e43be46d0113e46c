"""Prints the table. Exit code 1 if a target is missed."""

from __future__ import annotations

import argparse
import json
import sys
from importlib import import_module

from .table import Row, render_table

MEASURES = {
    "a": "overhead",
    "b": "events",
    "c": "plans",
    "d": "startup",
    "e": "makespan",
    "f": "memory",
    "g": "views",
    "h": "store",
}
"""Row → module; each has measure(), which yields rows."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"some of {' '.join(MEASURES)}; all by default")
    parser.add_argument("--json", action="store_true", help="one JSON document instead of the table")
    asked = parser.parse_args()
    if unknown := set(asked.rows) - set(MEASURES):
        parser.error(f"no such row: {', '.join(sorted(unknown))}")
    rows: list[Row] = []
    for letter in asked.rows or MEASURES:
        for row in import_module(f".{MEASURES[letter]}", __package__).measure():
            rows.append(row)
            print(f"{row.letter}  {row.what}", file=sys.stderr)
    print(
        json.dumps([row.as_json() for row in rows], indent=2, ensure_ascii=False) if asked.json else render_table(rows)
    )
    return 1 if any(row.verdict == "MISSED" for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
