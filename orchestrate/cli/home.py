"""`orchestrate` alone: where this repository stands, and the next sensible command. Never an error."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrate.errors import ExitCode, InputRefused, OrchestrateError

if TYPE_CHECKING:
    from orchestrate.cli.context import Session
    from orchestrate.cli.recorded import Recorded


def home(session: Session) -> ExitCode:
    """Print the state and what to type next."""
    from orchestrate.cli.recorded import open_recorded

    try:
        with open_recorded(session.start, session.environ) as recorded:
            lines, commands = _repository(session, recorded)
    except OrchestrateError as refused:
        lines, commands = [refused.message], [("orchestrate demo", "see it work in a throw-away repository")]
    for line in lines:
        session.printer.answer(line)
    if commands:
        session.printer.answer()
    width = max((len(command) for command, _ in commands), default=0)
    out = session.printer.out
    is_narrow = out.is_terminal and any(len("next: ") + width + 2 + len(why) > out.width for _, why in commands)
    for number, (command, why) in enumerate(commands):
        lead = "next: " if number == 0 else "      "
        if is_narrow:
            session.printer.answer(f"{lead}{command}")
            session.printer.answer(out.paint(f"          {why}", "dim"))
        else:
            session.printer.answer(f"{lead}{command.ljust(width)}  {why}".rstrip())
    session.printer.say("\norchestrate --help lists all commands")
    return ExitCode.DONE


def _repository(session: Session, recorded: Recorded) -> tuple[list[str], list[tuple[str, str]]]:
    """(what is there, [(command, why)])."""
    run_lines, run_commands = _last_run(recorded)
    list_lines, list_commands = _feature_list(session)
    # What a run needs now comes before what the list would allow.
    return [*list_lines, *run_lines], [*run_commands, *list_commands][:3]


def _last_run(recorded: Recorded) -> tuple[list[str], list[tuple[str, str]]]:
    runs = recorded.log.runs()
    if not runs:
        return [], []
    from orchestrate.cli.recorded import plan_of
    from orchestrate.engine.clock import SystemClock
    from orchestrate.engine.lock import owner
    from orchestrate.views.run import build_view
    from orchestrate.views.summary import headline, next_steps

    events = recorded.events(runs[-1])
    view = build_view(plan_of(events), (stored.event for stored in events))
    driver = owner(recorded.state.engine_lock)
    is_driven = driver is not None and driver.run in ("", runs[-1])
    now = SystemClock().now() if is_driven else view.last_at
    commands = [("orchestrate status", "watch it")] if is_driven else []
    commands += [(step.command, step.why) for step in next_steps(view, is_driven=is_driven)]
    return [headline(view, now, is_driven=is_driven)], commands


def _feature_list(session: Session) -> tuple[list[str], list[tuple[str, str]]]:
    from orchestrate.spec.finding import find_config

    try:
        path = find_config(session.start)
    except OrchestrateError:
        return ["no feature list yet"], [
            ("orchestrate init", "write one that fits this repository"),
            ("orchestrate demo", "see it work first"),
        ]
    shown = path.relative_to(session.start) if path.is_relative_to(session.start) else path
    try:
        loaded = session.load()
    except InputRefused as refused:
        count = len(refused.problems)
        return [f"{shown}: {count} problem{'s' if count != 1 else ''}"], [
            ("orchestrate plan", "shows each, with its line")
        ]
    except OrchestrateError as refused:
        return [refused.message], [("orchestrate plan", refused.hint)]
    many = len(loaded.features)
    return [f"{loaded.project_name}: {many:,} feature{'s' if many != 1 else ''} in {shown}"], [
        ("orchestrate plan", "what would run, in what order")
    ]
