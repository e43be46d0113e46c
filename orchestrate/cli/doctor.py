"""`orchestrate doctor`: what this machine and repository offer, and what to do about the rest."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from orchestrate.cli import options
from orchestrate.cli.context import Session
from orchestrate.errors import ExitCode

if TYPE_CHECKING:
    from orchestrate.app.doctor import Finding
    from orchestrate.cli.printer import Printer

SCHEMA = "orchestrate/doctor/v1"

_SIGNS = {"ok": ("✓", "green"), "note": ("!", "yellow"), "missing": ("✗", "red")}


def doctor(session: Session, config: options.ConfigOption = None, as_json: options.JsonOption = False) -> ExitCode:
    """Check python, git, repository, configuration, agents, containment. ✓ fine, ! worth knowing, ✗ needed.

    Exit code 1 when something needed is missing.

    \b
      orchestrate doctor
      orchestrate doctor --json
    """
    from orchestrate.app.doctor import examine

    findings = examine(start=session.start, config=config, environ=session.environ)
    missing = [finding for finding in findings if finding.verdict == "missing"]
    printer = session.printer
    if as_json:
        printer.document({"schema": SCHEMA, "ok": not missing, "findings": [asdict(finding) for finding in findings]})
        return ExitCode.INCOMPLETE if missing else ExitCode.DONE
    for line in finding_lines(findings, printer):
        printer.answer(line)
    if missing:
        printer.say(f"\n{len(missing)} of {len(findings)} must be mended before a run can work")
        return ExitCode.INCOMPLETE
    printer.say("\nnext: orchestrate plan")
    return ExitCode.DONE


def finding_lines(findings: tuple[Finding, ...], printer: Printer) -> list[str]:
    """One line a finding, with what to do about it below."""
    from orchestrate.views.text import clean, titled

    out = printer.out
    indent = max(len(finding.name) for finding in findings) + 4
    lines = []
    for finding in findings:
        sign, color = _SIGNS[finding.verdict]
        first, *rest = titled(f"{sign} {finding.name}", clean(finding.text), width=out.width, indent=indent)
        lines += [out.paint(sign, color) + first.removeprefix(sign), *rest]
        if finding.hint:
            lines += titled(" " * indent + "→", clean(finding.hint), width=out.width, indent=indent + 2)
    return lines
