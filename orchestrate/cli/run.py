"""`orchestrate run`: agents at work, checks, one integration branch."""

from __future__ import annotations

import hashlib
import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrate.cli import options
from orchestrate.cli.context import Session
from orchestrate.cli.driving import build_resumed, dollars, drive, newest_unfinished, ready_warnings, say_what_goes_on
from orchestrate.cli.plan import load_plan, planning_flags
from orchestrate.errors import ExitCode, OrchestrateError

if TYPE_CHECKING:
    from orchestrate.app.order import Order
    from orchestrate.app.planning import Planned
    from orchestrate.app.unfinished import Unfinished
    from orchestrate.engine.lock import Owner


def run(
    session: Session,
    plan_file: Annotated[
        Path | None, typer.Argument(metavar="PLAN", help="A plan that `plan --out` froze: runs exactly that.")
    ] = None,
    config: options.ConfigOption = None,
    yes: options.YesOption = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the unfinished run.")] = False,
    new: Annotated[bool, typer.Option("--new", help="Start another run; the unfinished one is kept.")] = False,
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
    max_cost: options.MaxCostOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", "-n", help="Show the plan and stop.")] = False,
    progress: options.ProgressOption = "auto",
    as_json: options.EventsOption = False,
) -> ExitCode:
    """Run the plan: agents at work, checks, one green branch.

    Your checkout, branches and configuration stay as they are. First Ctrl-C: nothing new starts; second: agents are ended
    and their work is kept; third: leaves at once.

    \b
      orchestrate run --yes
      orchestrate run --select +api -j 4 --max-cost 20
      orchestrate run --resume
    """
    from orchestrate.engine.lock import owner, refusal
    from orchestrate.store.artifacts import StateDir

    if resume and new:
        raise OrchestrateError("--resume and --new contradict each other", hint="leave one of them out")
    flags = planning_flags(
        jobs=jobs, sequential=sequential, start_on=start_on, schedule=schedule, base=base, agent=agent, model=model
    )
    flags["limits.max_cost_usd"] = dollars(max_cost)
    fixed = {"a plan": plan_file, "--select": select, "--exclude": exclude, "--failed": failed, "--base": base}
    fixed |= {"--agent": agent, "--model": model, "--start-on": start_on, "--schedule": schedule}
    if resume and (given := next((name for name, value in fixed.items() if value), "")):
        raise OrchestrateError(
            f"--resume goes on with the run as it was planned: {given} cannot be changed",
            hint="leave it out, or start another run: orchestrate run --new",
        )
    unfinished: Unfinished | None
    if resume:
        state, unfinished = newest_unfinished(session, config, flags)
        planned, order = build_resumed(session, state, unfinished, config, flags, unpause=True)
    else:
        if plan_file is not None:
            selecting = bool(select or exclude or failed or base)
            planned = _frozen_plan(session, plan_file, config, flags, selecting=selecting)
        else:
            planned = load_plan(session, config, select=select, exclude=exclude, failed=failed, flags=flags)
        order, unfinished = _order(session, planned, flags, new=new, yes=yes)
        if unfinished is not None:
            resume = not yes  # else nobody was asked, and a pause stays what it is
            state, list_ = StateDir(planned.repository.common_dir), planned.loaded.config_path
            planned, order = build_resumed(session, state, unfinished, list_, flags, unpause=resume)
    driver = owner(StateDir(planned.repository.common_dir).engine_lock)
    if driver is not None and driver.run and not dry_run:  # before anything is said of what will be done
        raise refusal(driver)
    for doubt in ready_warnings(order):
        session.printer.warn(doubt)
    if unfinished is None:
        _say_what_is_forgotten(session, planned)
        _say_what_is_repeated(session, planned)
    if as_json and dry_run:
        _print_plan(session, planned)
    elif not as_json:
        _show_plan(session, planned, unfinished, full=dry_run or not yes, unpause=order.unpause)
    if dry_run:
        return ExitCode.DONE
    if not (yes or resume) and not session.confirm("Proceed?", flag="--yes"):
        session.printer.say("nothing was changed")
        return ExitCode.INCOMPLETE
    return drive(session, order, "json" if as_json else progress)


# ── what is to be run ────────────────────────────────────────────────────────────────────────────────────────────


def _frozen_plan(
    session: Session, plan_file: Path, config: Path | None, flags: dict[str, object], *, selecting: bool
) -> Planned:
    """The plan in the file, if nothing that it was made of has moved."""
    from dataclasses import replace

    from orchestrate.app.planning import make_plan
    from orchestrate.git.repository import Base
    from orchestrate.spec.frozen import moved, parse_frozen

    if selecting:
        raise OrchestrateError(
            "a frozen plan is run as it is: no selection and no --base with it", hint="leave out one or the other"
        )
    try:
        text = session.path(plan_file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as unreadable:
        reason = getattr(unreadable, "strerror", None) or "not UTF-8"
        raise OrchestrateError(
            f"{plan_file} cannot be read: {reason}", hint="make one: orchestrate plan --out plan.json"
        ) from unreadable
    frozen = parse_frozen(text, str(plan_file))
    planned = make_plan(session.load(config or session.path(Path(frozen.config)), flags), environ=session.environ)
    changes = moved(frozen, planned.loaded, planned.base.commit)
    if changes:
        raise OrchestrateError(
            f"{plan_file} is stale: {'; '.join(changes[:5])}", hint="make it anew: orchestrate plan --out plan.json"
        )
    return replace(planned, plan=frozen.plan, base=Base(frozen.base_branch, "commit", frozen.base))


def _order(
    session: Session, planned: Planned, flags: dict[str, object], *, new: bool, yes: bool
) -> tuple[Order, Unfinished | None]:
    """Start anew, or go on with the run that is returned. Raises OrchestrateError where the user must say which."""
    from orchestrate.app.order import Order
    from orchestrate.app.unfinished import changes_since, last_run
    from orchestrate.engine.lock import owner
    from orchestrate.store.artifacts import StateDir

    inputs = hashlib.sha256(f"{planned.loaded.inputs_digest}/{planned.selection}".encode()).hexdigest()
    state = StateDir(planned.repository.common_dir)
    driver = owner(state.engine_lock)  # before looking: what it has ended in between is over then
    unfinished = last_run(state)
    goes_on = unfinished is not None and yes and not new and unfinished.inputs == inputs
    if unfinished is not None and not goes_on and not new:
        changed = changes_since(unfinished, planned.plan) if unfinished.inputs != inputs else ""
        goes_on = _is_gone_on_with(session, unfinished, driver, changed, yes=yes)
    order = Order(
        loaded=planned.loaded,
        repository=planned.repository,
        plan=planned.plan,
        base=planned.base,
        inputs=inputs,
        environ=session.environ,
        flags=flags,
    )
    return order, unfinished if goes_on else None


def _is_gone_on_with(
    session: Session, unfinished: Unfinished, driver: Owner | None, changed: str, *, yes: bool
) -> bool:
    """Ask whether to go on with the unfinished run or to start another; without a person there, refuse. changed: what has
    changed in its inputs since, in words."""
    from orchestrate.engine.lock import refusal

    if driver is not None:
        raise refusal(driver)
    since = time.strftime("%Y-%m-%d %H:%M", time.localtime(unfinished.started))
    what = f"run {unfinished.run} of {since} is unfinished{f', and its inputs have changed since: {changed}' if changed else ''}"
    if yes or not session.can_ask:
        raise OrchestrateError(
            what,
            hint="go on with it as it was planned: orchestrate resume   or start another beside it: orchestrate run --new",
        )
    asked = {"r": "resume it as it was planned", "n": "start a new one beside it", "q": "quit"}
    answer = session.choose(what, asked)
    if answer not in ("r", "n"):
        raise OrchestrateError("nothing was changed", hint="orchestrate status", code=ExitCode.INCOMPLETE)
    return answer == "r"


def _say_what_is_forgotten(session: Session, planned: Planned) -> None:
    """A run that the log has lost cannot be gone on with, and is paid for again: say so while there is time."""
    from orchestrate.app.unfinished import forgotten_runs
    from orchestrate.store.artifacts import StateDir

    state = StateDir(planned.repository.common_dir)
    for run in forgotten_runs(state):
        session.printer.warn(
            f"the log knows nothing of run {run}; what its agents made: orchestrate recover",
            hint=f"no longer to be told: rm -r {shlex.quote(str(state.run_dir(run)))}",
        )


def _say_what_is_repeated(session: Session, planned: Planned) -> None:
    """A run that starts over from the base pays again for what lies in the last one's branch: say so, and the other way."""
    from orchestrate.app.planning import integrated_in, last_result

    last = last_result(planned.repository)
    if last is None:
        return
    landed = integrated_in(planned.repository, planned.base.commit)
    again = [fid for fid in planned.plan.features if fid in last.integrated and fid not in landed]
    if again:
        listed = ", ".join(again[:6]) + (f" and {len(again) - 6} more" if len(again) > 6 else "")
        is_all = len(again) == len(planned.plan.features)
        way = f"git merge {last.branch}" if is_all else f"orchestrate retry --run {last.run}"
        session.printer.warn(
            f"this repeats {listed}, which run {last.run} has integrated into {last.branch}",
            hint=f"to {'take that over' if is_all else 'go on from there'} instead: {way}",
        )


def _print_plan(session: Session, planned: Planned) -> None:
    """What would be run, as the one line that a reader of JSON lines gets."""
    import json

    from orchestrate.views.plan import plan_document

    session.printer.answer(json.dumps({"kind": "result", "dry_run": True, "plan": plan_document(planned.view)}))


def _show_plan(session: Session, planned: Planned, unfinished: Unfinished | None, *, full: bool, unpause: bool) -> None:
    """full: to decide on; else only what it is, for the record."""
    from orchestrate.app.controls import address
    from orchestrate.store.artifacts import StateDir
    from orchestrate.views.plan import plan_lines

    printer = session.printer
    if unfinished is not None:
        state = address(StateDir(planned.repository.common_dir), unfinished.run).state
        say_what_goes_on(session, unfinished, state, unpause=unpause)
    else:
        view = planned.view
        lines = plan_lines(view, width=printer.err.width, ascii_only=printer.err.ascii_only, full=False)
        for line in lines if full else lines[:2]:
            printer.say(line)
        for notice in view.notices:
            printer.warn(notice)
        printer.say("")
