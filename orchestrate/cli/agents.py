"""`orchestrate agents`: the coding programs that features may ask for, and whether they are ready."""

from __future__ import annotations

from dataclasses import asdict

from orchestrate.cli import options
from orchestrate.cli.context import Session
from orchestrate.errors import ExitCode

SCHEMA = "orchestrate/agents/v1"


def agents(session: Session, config: options.ConfigOption = None, as_json: options.JsonOption = False) -> ExitCode:
    """List the agents: version, place, sign-in. Asks no service and costs nothing.

    \b
      orchestrate agents
      orchestrate run --agent scripted
    """
    from orchestrate.app.doctor import agent_statuses
    from orchestrate.spec.load import load_settings
    from orchestrate.views.text import clean, columns

    settings, _ = load_settings(start=session.start, config=config, environ=session.environ, flags={})
    statuses = agent_statuses(settings, session.environ)
    printer = session.printer
    if as_json:
        rows = [
            {**asdict(status), "usable": status.usable, "default": status.name == settings.agent} for status in statuses
        ]
        printer.document({"schema": SCHEMA, "agents": rows})
        return ExitCode.DONE
    signed_in = {"yes": "signed in", "no": "not signed in", "unknown": "sign-in unknown"}
    rows_shown = [
        (
            "✓" if status.usable and status.signed_in != "no" else "✗",
            status.name + (" (default)" if status.name == settings.agent else ""),
            status.version or "-",
            signed_in[status.signed_in] + (f": {status.how}" if status.how else "")
            if status.usable
            else clean(status.problem),
        )
        for status in statuses
    ]
    for line, status in zip(columns(rows_shown), statuses, strict=True):
        printer.answer(line)
        if status.hint:
            printer.answer(f"  → {clean(status.hint)}")
    return ExitCode.DONE
