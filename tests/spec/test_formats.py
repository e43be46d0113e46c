"""The same list in every format is the same plan."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from orchestrate.spec.sources import parse_document
from tests.support.projects import Project

JSON = """\
{
  "$schema": "x", "_comment": ["free"],
  "project": {"name": "shop", "verify": ["pytest -q", {"name": "types", "run": "mypy", "timeout_seconds": 60}]},
  "limits": {"max_cost_usd": 5},
  "features": [
    {"id": "a", "prompt": "one\\ntwo\\n", "tags": ["x"], "env": {"PORT": "1"}},
    {"id": "b", "prompt": "three", "depends_on": ["a"], "max_cost_usd": 1.5, "_comment": "free"},
  ], // the end
}
"""

YAML_TEXT = """\
$schema: x
_comment: [free]
project:
  name: shop
  verify:
    - pytest -q
    - {name: types, run: mypy, timeout_seconds: 60}
limits: {max_cost_usd: 5}
features:
  - id: a
    prompt: |
      one
      two
    tags: [x]
    env: {PORT: "1"}
  - {id: b, prompt: three, depends_on: [a], max_cost_usd: 1.5, _comment: free}
"""

TOML = '''\
"$schema" = "x"
_comment = ["free"]
[project]
name = "shop"
verify = ["pytest -q", {name = "types", run = "mypy", timeout_seconds = 60}]
[limits]
max_cost_usd = 5
[[features]]
id = "a"
prompt = """
one
two
"""
tags = ["x"]
env = {PORT = "1"}
[[features]]
id = "b"
prompt = "three"
depends_on = ["a"]
max_cost_usd = 1.5
_comment = "free"
'''


def test_json_yaml_and_toml_say_the_same(project: Project) -> None:
    loaded = []
    for name, text in (("l.jsonc", JSON), ("l.yml", YAML_TEXT), ("l.toml", TOML)):
        project.config = project.write(f"config/{name}", text)
        loaded.append(project.load())
    first = loaded[0]
    assert [feature.id for feature in first.features] == ["a", "b"]
    assert first.features[0].prompt == "one\ntwo\n"
    for other in loaded[1:]:
        assert (other.features, other.settings, other.inputs_digest) == (
            first.features,
            first.settings,
            first.inputs_digest,
        )


SIMPLE: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63) + 1, 2**63 - 1) | st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S"))),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(categories=("L", "N"), codec="utf-8"), min_size=1), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@given(st.dictionaries(st.text("abc<", min_size=1), SIMPLE, max_size=4))
def test_yaml_reads_what_another_wrote_as_json_does(data: dict[str, Any]) -> None:
    stream = StringIO()
    YAML(typ="safe", pure=True).dump(data, stream)
    assert parse_document(stream.getvalue(), Path("x.yaml"), "x").data == data
    assert parse_document(json.dumps(data), Path("x.json"), "x").data == data
