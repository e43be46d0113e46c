"""A plan as text for other programs to draw: Mermaid (for pull requests and Markdown) and Graphviz dot.

Invariant: no text of a user ends a label, an attribute or the graph.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from orchestrate.core.plan import Plan
from orchestrate.views.text import clean


def mermaid(plan: Plan) -> str:
    """https://mermaid.js.org/syntax/flowchart.html; the critical path is drawn thick."""
    node = {fid: f"n{number}" for number, fid in enumerate(plan.features)}
    critical = set(itertools.pairwise(plan.critical_path))
    lines = ["graph LR"]
    lines += [f'  {node[fid]}["{_mermaid_label(text)}"]' for fid, text in _labels(plan)]
    lines += [f"  {node[edge[0]]} {'==>' if edge in critical else '-->'} {node[edge[1]]}" for edge in _edges(plan)]
    lines += ["  classDef critical stroke-width:3px"]
    if plan.critical_path:
        lines += [f"  class {','.join(node[fid] for fid in plan.critical_path)} critical"]
    return "\n".join(lines) + "\n"


def dot(plan: Plan) -> str:
    """https://graphviz.org/doc/info/lang.html; one rank a wave, the critical path in bold."""
    critical = set(itertools.pairwise(plan.critical_path))
    lines = ["digraph plan {", "  rankdir=LR;", '  node [shape=box, style=rounded, fontname="sans-serif"];']
    for fid, text in _labels(plan):
        style = ', style="rounded,bold"' if fid in plan.critical_path else ""
        lines.append(f"  {_dot_quoted(fid)} [label={_dot_quoted(text)}{style}];")
    lines += [f"  {{ rank=same; {' '.join(_dot_quoted(fid) + ';' for fid in wave)} }}" for wave in plan.waves]
    for edge in _edges(plan):
        style = " [style=bold]" if edge in critical else ""
        lines.append(f"  {_dot_quoted(edge[0])} -> {_dot_quoted(edge[1])}{style};")
    return "\n".join([*lines, "}"]) + "\n"


def _labels(plan: Plan) -> Iterator[tuple[str, str]]:
    """(id, what stands in the box)."""
    for fid, feature in plan.features.items():
        name = clean(feature.name)
        yield fid, f"{fid}: {name}" if name and name != fid else fid


def _edges(plan: Plan) -> Iterator[tuple[str, str]]:
    for fid, feature in plan.features.items():
        for needed in feature.depends_on:
            yield needed, fid


_MERMAID = str.maketrans({character: f"#{ord(character)};" for character in '#&"<>`[]{}()|;\\'})
"""Entity codes in Mermaid's own form."""


def _mermaid_label(text: str) -> str:
    return text.translate(_MERMAID)


def _dot_quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
