"""`orchestrate schema`: the JSON Schema of a file, for editors and for programs."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from orchestrate.cli.context import Session
from orchestrate.errors import ExitCode


def schema(
    session: Session,
    kind: Annotated[Literal["features", "settings", "report"], typer.Argument(help="Which file.")] = "features",
) -> ExitCode:
    """Print the JSON Schema of the feature list, of orchestrate.toml, or of the report.

    \b
      orchestrate schema features > features.schema.json
      orchestrate schema report
    """
    if kind == "report":
        from orchestrate.views.report_schema import report_schema

        session.printer.document(report_schema())
    else:
        from orchestrate.spec.schema import schema as file_schema

        session.printer.document(file_schema(kind))
    return ExitCode.DONE
