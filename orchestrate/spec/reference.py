"""The configuration reference, as Markdown made from the models: every key, its kind, its default, its meaning.

Invariant: nothing is written here that a model does not say, so the page cannot rot.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from .layers import TABLES, variable_of
from .mistakes import choices_of, key_of, kind_of, notes_of

if TYPE_CHECKING:
    from pydantic import BaseModel
    from pydantic.fields import FieldInfo

_INTRO = """\
# Configuration

<!-- Made from the models in orchestrate/spec; edit the docstrings there. -->

Settings come in layers; a later one wins, key by key:

1. defaults
2. your own `~/.config/orchestrate/config.toml`
3. the feature list (`config/feature_list.json`, `.jsonc`, `.yaml`, `.yml` or `.toml`): at its top or in `project`
4. `orchestrate.toml` in the repository
5. environment variables: `ORCHESTRATE_MAX_PARALLEL=4`, `ORCHESTRATE_LIMITS__MAX_COST_USD=5`; lists as JSON; empty means unset
6. flags

`orchestrate config show --origin` says where each value came from. In every mapping a key `_comment` is free for your
own notes. JSON may hold comments and trailing commas. Durations are seconds, money is US dollars.
"""


def render_reference() -> str:
    """The whole page."""
    from . import models

    parts = [_INTRO]
    parts.append(_section("Settings", models.Common, tables=False, variables=True))
    for key in TABLES:
        inner = _table_model(models.Common, key)
        if inner is not None:
            parts.append(_section(f"`{key}`", inner, prefix=(key,), variables=True))
    parts.append(_section("`project`", models.Project, without=models.Common))
    parts.append(_section("Entries of `setup` and `verify`", models.Step))
    parts.append(_section("Features", models.FeatureEntry))
    return "\n".join(parts)


def _table_model(model: type[BaseModel], key: str) -> type[BaseModel] | None:
    from .mistakes import field_at, inner_model

    info = field_at(model, key)
    return inner_model(info.annotation) if info else None


def _section(
    title: str,
    model: type[BaseModel],
    *,
    prefix: tuple[str, ...] = (),
    without: type[BaseModel] | None = None,
    tables: bool = True,
    variables: bool = False,
) -> str:
    """Heading, what the section is for, and a table of its keys."""
    rows = []
    for name, info in model.model_fields.items():
        key = key_of(name, info)
        if key[0] in "_$" or (without is not None and name in without.model_fields):
            continue
        if not tables and key in TABLES and _table_model(model, key) is not None:
            continue
        cells = [f"`{key}`", _kind(info), _default(info), _meaning(info)]
        if variables:
            cells.append(f"`{variable_of((*prefix, key))}`" if key != "env" else "`ORCHESTRATE_ENV__NAME`")
        rows.append("| " + " | ".join(cells) + " |")
    head = ["key", "kind", "default", "meaning", *(["environment"] if variables else [])]
    lines = [f"## {title}", "", _one_line(model.__doc__ or ""), "", "| " + " | ".join(head) + " |"]
    return "\n".join([*lines, "|" + "---|" * len(head), *rows, ""])


def _one_line(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _kind(info: FieldInfo) -> str:
    choices = choices_of(info)
    if choices:
        return " \\| ".join(f"`{choice}`" for choice in choices)
    return kind_of(info.annotation) + _range(info)


def _range(info: FieldInfo) -> str:
    """`, 1 to 256`; empty if there are no bounds."""
    low, high = _bound(info, "ge"), _bound(info, "le")
    above = _bound(info, "gt")
    if above is not None and high is not None:
        return f", more than {above:g}, at most {high:,}"
    if low is not None and high is not None:
        return f", {low:,} to {high:,}"
    return ""


def _bound(info: FieldInfo, name: str) -> float | None:
    """A bound of the field, also where it is declared inside `… | None`."""
    for note in notes_of(info):
        value = getattr(note, name, None)
        if value is not None:
            return float(value) if isinstance(value, float) else int(value)
    return None


def _default(info: FieldInfo) -> str:
    if info.is_required():
        return "required"
    value = info.default
    if value is None or value in ("", [], {}):
        return "—"
    if isinstance(value, str):
        return f"`{value}`"
    return f"`{value:g}`" if isinstance(value, float) else f"`{json.dumps(value)}`"


def _meaning(info: FieldInfo) -> str:
    return _one_line(info.description or "")
