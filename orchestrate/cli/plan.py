"""`orchestrate plan`: what would run. Changes nothing."""

from __future__ import annotations

import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from orchestrate.cli import options
from orchestrate.cli.context import Session
from orchestrate.errors import ExitCode, OrchestrateError

if TYPE_CHECKING:
    from orchestrate.app.planning import Planned

Format = Literal["text", "json", "mermaid", "dot"]


def plan(
    session: Session,
    config: options.ConfigOption = None,
    select: options.SelectOption = None,
    exclude: options.ExcludeOption = None,
    failed: options.FailedOption = False,
    jobs: options.JobsOption = None,
    sequential: options.SequentialOption = False,
    start_on: options.StartOnOption = None,
    schedule: options.ScheduleOption = None,
    base: options.BaseOption = None,
    agent: options.AgentOption = None,
    model: options.ModelOption = None,
    full: Annotated[bool, typer.Option("--full", help="List every feature, however many there are.")] = False,
    form: Annotated[Format, typer.Option("--format", help="How to show it.")] = "text",
    as_json: options.JsonOption = False,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE", help="Freeze the plan, for `run FILE`.")
    ] = None,
) -> ExitCode:
    """Show what would run: waves, branches, estimates, critical path. Changes nothing.

    \b
      orchestrate plan
      orchestrate plan --select +api -j 4
      orchestrate plan --format mermaid >> PULL_REQUEST.md
      orchestrate plan --out plan.json && orchestrate run plan.json
    """
    flags = planning_flags(
        jobs=jobs, sequential=sequential, start_on=start_on, schedule=schedule, base=base, agent=agent, model=model
    )
    planned = load_plan(session, config, select=select, exclude=exclude, failed=failed, flags=flags)
    _show(session, planned, "json" if as_json else form, full=full)
    if out is not None:
        write_frozen(session, planned, out)
    elif form == "text" and not as_json:
        again = f"{_given(config, flags)}{_repeated(select, exclude, failed=failed)}"
        session.printer.say(f"\nnext: orchestrate run{again}")
    return ExitCode.DONE


def load_plan(
    session: Session,
    config: Path | None,
    *,
    select: list[str] | None,
    exclude: list[str] | None,
    failed: bool,
    flags: dict[str, object],
    base: str = "",
) -> Planned:
    """The plan that this command line means. base: see make_plan. Raises OrchestrateError for everything that is wrong with the input."""
    from orchestrate.app.planning import Wishes, make_plan

    loaded = session.load(config, flags)
    wishes = Wishes(tuple(select or ()), tuple(exclude or ()), failed)
    return make_plan(loaded, environ=session.environ, wishes=wishes, base=base)


def planning_flags(
    *,
    jobs: int | None = None,
    sequential: bool = False,
    start_on: str | None = None,
    schedule: str | None = None,
    base: str | None = None,
    agent: str | None = None,
    model: str | None = None,
) -> dict[str, object]:
    """Settings given on the command line, by setting name. Raises OrchestrateError for flags that contradict."""
    if sequential and jobs not in (None, 1):
        raise OrchestrateError(
            f"--sequential means one at a time, -j {jobs} means {jobs}", hint="leave one of them out"
        )
    return {
        "max_parallel": 1 if sequential else jobs,
        "start_on": start_on,
        "schedule": schedule,
        "base_branch": base,
        "agent": agent,
        "model": model,
    }


def _show(session: Session, planned: Planned, form: Format, *, full: bool) -> None:
    printer = session.printer
    view = planned.view
    if form == "json":
        from orchestrate.views.plan import plan_document

        printer.document(plan_document(view))
    elif form == "text":
        from orchestrate.views.plan import plan_lines

        printer.answer(
            "\n".join(plan_lines(view, width=printer.out.width, ascii_only=printer.out.ascii_only, full=full))
        )
        for notice in view.notices:
            printer.warn(notice)
    else:
        from orchestrate.views import graphs

        printer.answer((graphs.mermaid if form == "mermaid" else graphs.dot)(view.plan).rstrip())


FLAGS = {
    "max_parallel": "-j",
    "start_on": "--start-on",
    "schedule": "--schedule",
    "base_branch": "--base",
    "agent": "--agent",
    "model": "--model",
}
"""Settings, and the flags that give them."""


def _given(config: Path | None, flags: dict[str, object]) -> str:
    """The feature list and the settings as they are typed again."""
    words = [] if config is None else ["--config", str(config)]
    for name, value in flags.items():
        if value is not None:
            words += [FLAGS[name], str(value)]
    return f" {shlex.join(words)}" if words else ""


def _repeated(select: list[str] | None, exclude: list[str] | None, *, failed: bool) -> str:
    """The selection as it is typed again."""
    from orchestrate.core.selection import Selection

    text = str(Selection(tuple(select or ()), tuple(exclude or ()), frozenset() if failed else None))
    return f" {text}" if text else ""


def _is_frozen(path: Path) -> bool:
    from orchestrate.spec.frozen import SCHEMA

    try:
        with path.open("rb") as file:
            return SCHEMA.encode() in file.read(200)
    except OSError:
        return False


def write_frozen(session: Session, planned: Planned, out: Path) -> None:
    """The plan as a file that `run` takes; `run` refuses it if the inputs have moved by then."""
    from orchestrate.spec.frozen import render_frozen
    from orchestrate.store.artifacts import write_atomically

    path = session.path(out)
    if path.is_file() and not _is_frozen(path):
        raise OrchestrateError(
            f"--out {out}: that file is there and is no frozen plan; it was left as it is", hint="name another file"
        )
    if not path.parent.is_dir():
        raise OrchestrateError(f"--out {out}: there is no directory {path.parent}", hint=f"mkdir -p {path.parent}")
    try:
        write_atomically(path, render_frozen(planned.frozen(time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))))
    except OSError as failed:
        raise OrchestrateError(f"--out {out}: {failed.strerror}") from failed
    session.printer.say(f"\nfrozen in {out}; next: orchestrate run {shlex.quote(str(out))}")
