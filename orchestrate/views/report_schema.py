"""JSON Schema of the report, from the dataclasses that make it up; committed as schemas/report.schema.json."""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from typing import Any

from orchestrate.views.report_model import Moment, Report

Schema = dict[str, Any]

_PLAIN: dict[object, Schema] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    types.NoneType: {"type": "null"},
    Moment: {"type": "string", "format": "date-time"},
}


def render_report_schema() -> str:
    """The text of schemas/report.schema.json."""
    return json.dumps(report_schema(), indent=2, ensure_ascii=False) + "\n"


def report_schema() -> Schema:
    """https://json-schema.org/draft/2020-12; every field is required, so that a reader need not ask."""
    definitions: dict[str, Schema] = {}
    root = _schema_of(Report, definitions)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:orchestrate:report:v1",
        "title": "Report of a run of orchestrate",
        **root,
        "$defs": dict(sorted(definitions.items())),
    }


def _schema_of(hint: Any, definitions: dict[str, Schema]) -> Schema:
    """One type hint. Raises TypeError for a type that the report has not used so far."""
    if hint in _PLAIN:
        return dict(_PLAIN[hint])
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        return {"enum": list(arguments)}
    if origin is tuple:
        return {"type": "array", "items": _schema_of(arguments[0], definitions)}
    if origin is dict:
        return {"type": "object", "additionalProperties": _schema_of(arguments[1], definitions)}
    if origin in (types.UnionType, typing.Union):
        return {"anyOf": [_schema_of(each, definitions) for each in arguments]}
    if dataclasses.is_dataclass(hint):
        return _reference(typing.cast(type, hint), definitions)
    raise TypeError(f"no schema for {hint!r}")


def _reference(cls: type, definitions: dict[str, Schema]) -> Schema:
    if cls.__name__ not in definitions:
        definitions[cls.__name__] = {}  # known from here on, should it refer to itself
        hints = typing.get_type_hints(cls)
        names = [field.name for field in dataclasses.fields(cls)]
        definitions[cls.__name__] = {
            "description": " ".join((cls.__doc__ or "").split()),
            "type": "object",
            "properties": {name: _schema_of(hints[name], definitions) for name in names},
            "required": names,
            "additionalProperties": False,
        }
    return {"$ref": f"#/$defs/{cls.__name__}"}
