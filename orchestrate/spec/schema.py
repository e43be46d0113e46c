"""JSON Schemas of the files that a person writes, for editors; made from the models and committed in schemas/.

Invariant: what is committed is what render_schema() says (a test compares). Renew: `python -m orchestrate.spec.schema schemas`
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Literal, get_args

Kind = Literal["features", "settings"]
KINDS: tuple[Kind, ...] = get_args(Kind)

DIALECT = "https://json-schema.org/draft/2020-12/schema"

_TITLES = {"features": "Feature list of orchestrate", "settings": "Settings of orchestrate (orchestrate.toml)"}


def schema(kind: Kind) -> dict[str, Any]:
    """The schema as a value of JSON."""
    from .models import FeatureListFile, SettingsFile

    models: dict[Kind, type[SettingsFile]] = {"features": FeatureListFile, "settings": SettingsFile}
    made = models[kind].model_json_schema(by_alias=True, mode="validation")
    _drop_titles(made)
    return {"$schema": DIALECT, "title": _TITLES[kind], **made}


def _drop_titles(node: Any) -> None:
    """Editors show a title in place of the key; ours would only repeat it."""
    if isinstance(node, list):
        for item in node:
            _drop_titles(item)
    elif isinstance(node, dict):
        if isinstance(node.get("title"), str):
            del node["title"]
        for value in node.values():
            _drop_titles(value)


def render_schema(kind: Kind) -> str:
    """As it is committed and as `orchestrate schema` prints it."""
    return json.dumps(schema(kind), indent=2, ensure_ascii=False) + "\n"


def file_name(kind: Kind) -> str:
    return f"{kind}.schema.json"


def write_schemas(folder: Path) -> None:
    for kind in KINDS:
        (folder / file_name(kind)).write_text(render_schema(kind), "utf-8")


if __name__ == "__main__":
    write_schemas(Path(sys.argv[1]))
