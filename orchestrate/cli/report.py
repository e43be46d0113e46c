"""`orchestrate report [RUN]`: the outcome of a run with every attempt, made anew from its log."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from orchestrate.cli.context import Session
from orchestrate.cli.options import RunArgument
from orchestrate.cli.receipt import show_receipt
from orchestrate.cli.recorded import open_recorded, plan_of
from orchestrate.engine.clock import SystemClock
from orchestrate.engine.lock import owner
from orchestrate.errors import OrchestrateError
from orchestrate.views.report import build_report, render_json, render_markdown
from orchestrate.views.run import build_view


def report(
    session: Session,
    run: RunArgument = None,
    as_json: Annotated[bool, typer.Option("--json", help="The whole report as one JSON document.")] = False,
    as_markdown: Annotated[bool, typer.Option("--md", help="The report in words, as Markdown.")] = False,
) -> None:
    """The outcome of a run, with every attempt.

    \b
      orchestrate report              how the newest run ended
      orchestrate report --md         to read, or for a pull request
      orchestrate report --json       for programs; see: orchestrate schema report
    """
    if as_json and as_markdown:
        raise OrchestrateError("--json and --md contradict each other", hint="leave one of them out")
    now = SystemClock().now()
    with open_recorded(session.start, session.environ) as recorded:
        driver = owner(recorded.state.engine_lock)
        run = recorded.find_run(run)
        past = recorded.events(run)
        written = recorded.state.report_markdown(run)
        named = not recorded.is_newest(run)
    plan, events = plan_of(past), [stored.event for stored in past]
    is_driven = driver is not None and driver.run in ("", run)
    if as_json or as_markdown:
        made = build_report(events, plan, now=now, is_driven=is_driven, named=named)
        if as_json:
            session.printer.document(json.loads(render_json(made)))
        else:
            session.printer.answer(render_markdown(made).rstrip("\n"))
    else:
        where = str(written) if written.exists() else ""
        view = build_view(plan, events)
        show_receipt(session.printer, view, now=now, is_driven=is_driven, report=where, named=named)
        session.printer.say(f"in full: orchestrate report{f' {run}' if named else ''} --md, or --json")
