"""Mermaid and dot: complete, and no name of a user breaks out of its box."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from orchestrate.core.plan import Feature, Plan, build_plan
from orchestrate.views.graphs import dot, mermaid

HOSTILE = 'x"]; click n0 "javascript:alert(1)" <script>`#quot;\\"; } evil \x1b[31m\nn9-->n0'


def diamond(name: str = "") -> Plan:
    return build_plan(
        [
            Feature("a", name=name),
            Feature("b", depends_on=("a",)),
            Feature("c", depends_on=("a",)),
            Feature("d", depends_on=("b", "c")),
        ]
    )


def test_mermaid() -> None:
    assert mermaid(diamond("The base")).splitlines() == [
        "graph LR",
        '  n0["a: The base"]',
        '  n1["b"]',
        '  n2["c"]',
        '  n3["d"]',
        "  n0 ==> n1",
        "  n0 --> n2",
        "  n1 ==> n3",
        "  n2 --> n3",
        "  classDef critical stroke-width:3px",
        "  class n0,n1,n3 critical",
    ]


def test_dot() -> None:
    lines = dot(diamond("The base")).splitlines()
    assert '  "a" [label="a: The base", style="rounded,bold"];' in lines
    assert '  { rank=same; "b"; "c"; }' in lines
    assert '  "a" -> "b" [style=bold];' in lines
    assert '  "a" -> "c";' in lines
    assert lines[-1] == "}"


def test_a_hostile_name_stays_in_its_box_in_mermaid() -> None:
    lines = mermaid(diamond(HOSTILE)).splitlines()
    assert len(lines) == len(mermaid(diamond("plain")).splitlines())
    label = re.fullmatch(r'  n0\["([^"]*)"\]', lines[1])
    assert label
    assert not set('"<>`[]{}()|\\\x1b') & set(label[1])


def test_a_hostile_name_stays_in_its_box_in_dot() -> None:
    text = dot(diamond(HOSTILE))
    assert len(text.splitlines()) == len(dot(diamond("plain")).splitlines())
    label = re.fullmatch(r'  "a" \[label="((?:[^"\\]|\\.)*)", style="rounded,bold"\];', text.splitlines()[3])
    assert label
    assert label[1].replace('\\"', '"').replace("\\\\", "\\").startswith('a: x"]; click n0')


@pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz is not installed")
def test_graphviz_reads_it() -> None:
    subprocess.run(["dot", "-Tsvg"], input=dot(diamond(HOSTILE)).encode(), capture_output=True, check=True)


def test_an_empty_plan_is_drawn_too() -> None:
    assert mermaid(build_plan([])).startswith("graph LR\n")
    assert dot(build_plan([])).endswith("}\n")
