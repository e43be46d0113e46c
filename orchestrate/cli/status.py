"""`orchestrate status [RUN]`: where a run stands, whether an engine is at it, and what to do next."""

from __future__ import annotations

import time
from dataclasses import asdict

from orchestrate.cli.context import Session
from orchestrate.cli.options import JsonOption, RunArgument
from orchestrate.cli.receipt import show_receipt
from orchestrate.cli.recorded import open_recorded, plan_of
from orchestrate.engine.clock import SystemClock
from orchestrate.engine.lock import Owner, owner
from orchestrate.views.run import RunView, build_view
from orchestrate.views.summary import pending_words, status_document


def status(session: Session, run: RunArgument = None, as_json: JsonOption = False) -> None:
    """Where a run stands.

    \b
      orchestrate status             the newest run
      orchestrate status 20261121    the run that begins so
      orchestrate status @2          the last but one
    """
    now = SystemClock().now()
    with open_recorded(session.start, session.environ) as recorded:
        # Ask before reading: an engine that ends in between has then written its end.
        engine = owner(recorded.state.engine_lock)
        run = recorded.find_run(run)
        events = recorded.events(run)
        report = recorded.state.report_markdown(run)
        named = not recorded.is_newest(run)
        view = build_view(plan_of(events), (stored.event for stored in events))
        pending = recorded.pending(run, view.delivered)
    driver = engine if engine is not None and engine.run in ("", run) else None
    if as_json:
        document = status_document(view, now, engine=_document(driver), pending=pending, named=named)
        session.printer.document(document)
        return
    told = [("engine", words)] if (words := _engine_words(view, driver)) else []
    told += [("asked", pending_words(request)) for request in pending]
    shown = str(report) if report.exists() else ""
    show_receipt(session.printer, view, now=now, is_driven=driver is not None, report=shown, told=told, named=named)


def _engine_words(view: RunView, driver: Owner | None) -> str:
    """Who is at it; of a run that broke off, who was and until when. Empty where the run has ended as it should."""
    if driver is not None:
        return str(driver)
    if view.status != "running" or not view.engines:
        return ""
    last = view.engines[-1]
    seen = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(view.last_at))
    return f"none; pid {last.pid} on {last.host or 'this machine'} died after {seen}"


def _document(driver: Owner | None) -> dict[str, object] | None:
    """What of the lock's note may interest a program; terminal: empty where it has none."""
    if driver is None:
        return None
    return {key: value for key, value in asdict(driver).items() if key in _TOLD}


_TOLD = ("pid", "host", "since", "command", "terminal")
