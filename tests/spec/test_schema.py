"""The committed schemas are those of the models, and agree with the loader on what is sound."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from ruamel.yaml import YAML

from orchestrate.spec.schema import DIALECT, KINDS, Kind, file_name, render_schema, schema, write_schemas
from tests.support.projects import FEATURE

REPOSITORY = Path(__file__).parents[2]
EXAMPLES = sorted([REPOSITORY / "config/feature_list.json", *(REPOSITORY / "config/examples").iterdir()])


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_committed_is_what_the_models_say(kind: Kind) -> None:
    committed = (REPOSITORY / "schemas" / file_name(kind)).read_text("utf-8")
    assert committed == render_schema(kind), "renew them: python -m orchestrate.spec.schema schemas"


@pytest.mark.parametrize("kind", KINDS)
def test_a_schema_is_one_and_explains_every_key(kind: Kind) -> None:
    made = schema(kind)
    assert made["$schema"] == DIALECT
    jsonschema.Draft202012Validator.check_schema(made)
    for table in (made, *made["$defs"].values()):
        assert table["additionalProperties"] is False
        for key, about in table["properties"].items():
            assert "description" in about or "$ref" in about, key


def read(path: Path) -> Any:
    text = path.read_text("utf-8")
    match path.suffix:
        case ".toml":
            return tomllib.loads(text)
        case ".yaml":
            return YAML(typ="safe", pure=True).load(text)
        case _:
            return json.loads(text)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_the_examples_satisfy_the_schema(path: Path) -> None:
    jsonschema.validate(read(path), schema("features"))


@pytest.mark.parametrize("keys", [{"depend_on": []}, {"depends_on": "a"}, {"agent": "gpt"}, {"max_attempts": 0}])
def test_an_editor_sees_the_same_mistakes(keys: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"features": [{**FEATURE, **keys}]}, schema("features"))


def test_they_are_renewed_by_one_command(tmp_path: Path) -> None:
    write_schemas(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {file_name(kind) for kind in KINDS}
