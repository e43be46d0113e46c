"""`orchestrate config`: every setting with its value, and where that came from."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from orchestrate.cli import options
from orchestrate.cli.context import Session
from orchestrate.errors import ExitCode

if TYPE_CHECKING:
    from orchestrate.spec.settings import Settings

SCHEMA = "orchestrate/config/v1"


def config(
    session: Session,
    action: Annotated[Literal["show"], typer.Argument(metavar="show", help="What to do.")] = "show",
    config: options.ConfigOption = None,
    origin: Annotated[bool, typer.Option("--origin", help="Say where each value comes from.")] = False,
    as_json: options.JsonOption = False,
) -> ExitCode:
    """Show the settings that hold here. Later wins: default, your own config.toml, the feature list, orchestrate.toml,
    environment ORCHESTRATE_…, flags.

    \b
      orchestrate config show
      orchestrate config show --origin
    """
    del action
    from orchestrate.redact import Redactor, secret_values
    from orchestrate.spec.load import load_settings
    from orchestrate.views.text import clean, columns

    settings, origins = load_settings(start=session.start, config=config, environ=session.environ, flags={})
    redact = Redactor(secret_values(dict(settings.env))).redact
    values = {name: redact(value) if isinstance(value, str) else value for name, value in dotted(settings).items()}
    sources = {name: str(origins.get(name, "default")) for name in values}
    printer = session.printer
    if as_json:
        printer.document(
            {"schema": SCHEMA, "settings": {name: {"value": values[name], "origin": sources[name]} for name in values}}
        )
        return ExitCode.DONE
    rows = [(name, clean(json.dumps(value, ensure_ascii=False)), sources[name]) for name, value in values.items()]
    for line in columns([row if origin else row[:2] for row in rows]):
        printer.answer(line)
    return ExitCode.DONE


def dotted(settings: Settings) -> dict[str, Any]:
    """`limits.max_cost_usd` → value, in the order of the reference; commands as one would write them."""
    values: dict[str, Any] = {}
    for name, value in asdict(settings).items():
        if name == "env":
            values |= {f"env.{variable}": text for variable, text in value} or {"env": {}}
        elif isinstance(value, dict):
            values |= {f"{name}.{inner}": below for inner, below in value.items()}
        elif name in ("setup", "verify"):
            values[name] = [command["run"] for command in value]
        else:
            values[name] = value
    return values
