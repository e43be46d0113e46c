"""`orchestrate status [RUN]`: where a run stands, whether an engine is at it, and what to do next."""

from __future__ import annotations

from dataclasses import asdict

from orchestrate.cli.context import Session
from orchestrate.cli.options import JsonOption, RunArgument
from orchestrate.cli.receipt import show_receipt
from orchestrate.cli.recorded import open_recorded, plan_of
from orchestrate.engine.clock import SystemClock
from orchestrate.engine.lock import Owner, owner
from orchestrate.views.run import build_view
from orchestrate.views.summary import status_document


def status(session: Session, run: RunArgument = None, as_json: JsonOption = False) -> None:
    """Where a run stands.

    \b
      orchestrate status             the newest run
      orchestrate status 20261121    the run that begins so
    """
    now = SystemClock().now()
    with open_recorded(session.start, session.environ) as recorded:
        # Ask before reading: an engine that ends in between has then written its end.
        engine = owner(recorded.state.engine_lock)
        run = recorded.find_run(run)
        events = recorded.events(run)
        report = recorded.state.report_markdown(run)
    view = build_view(plan_of(events), (stored.event for stored in events))
    driver = engine if engine is not None and engine.run in ("", run) else None
    if as_json:
        session.printer.document(status_document(view, now, engine=_document(driver)))
        return
    shown = str(report) if report.exists() else ""
    show_receipt(session.printer, view, now=now, is_driven=driver is not None, report=shown)
    if driver is not None:
        session.printer.say(f"engine: {driver}")


def _document(driver: Owner | None) -> dict[str, object] | None:
    """What of the lock's note may interest a program."""
    if driver is None:
        return None
    return {key: value for key, value in asdict(driver).items() if key in ("pid", "host", "since", "command")}
