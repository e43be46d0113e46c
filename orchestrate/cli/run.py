"""`orchestrate run`: agents at work, checks, one integration branch."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from orchestrate.cli import options
from orchestrate.cli.context import Session
from orchestrate.cli.plan import load_plan, planning_flags
from orchestrate.errors import ExitCode, OrchestrateError

if TYPE_CHECKING:
    from orchestrate.app.order import Order
    from orchestrate.app.planning import Planned
    from orchestrate.app.unfinished import Unfinished

Progress = Literal["auto", "live", "plain", "json", "none"]


def run(
    session: Session,
    plan_file: Annotated[
        Path | None, typer.Argument(metavar="[PLAN]", help="A plan that `plan --out` froze: runs exactly that.")
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
    max_cost: Annotated[
        float | None,
        typer.Option("--max-cost", metavar="USD", help="Most that the run may cost. [setting: limits.max_cost_usd]"),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", "-n", help="Show the plan and stop.")] = False,
    progress: Annotated[Progress, typer.Option("--progress", help="How to show what happens.")] = "auto",
    as_json: Annotated[
        bool, typer.Option("--json", help="Print events as JSON lines, the last one the result.")
    ] = False,
) -> ExitCode:
    """Run the plan: agents at work, checks, one green branch.

    Your checkout, branches and configuration stay as they are. First Ctrl-C: nothing new starts; second: agents are ended
    and their work is kept.

    \b
      orchestrate run --yes
      orchestrate run --select +api -j 4 --max-cost 20
      orchestrate run --resume
    """
    if resume and new:
        raise OrchestrateError("--resume and --new contradict each other", hint="leave one of them out")
    flags = planning_flags(
        jobs=jobs, sequential=sequential, start_on=start_on, schedule=schedule, base=base, agent=agent, model=model
    )
    flags["limits.max_cost_usd"] = _dollars(max_cost)
    fixed = {"a plan": plan_file, "--select": select, "--exclude": exclude, "--failed": failed, "--base": base}
    fixed |= {"--agent": agent, "--model": model, "--start-on": start_on, "--schedule": schedule}
    if resume and (given := next((name for name, value in fixed.items() if value), "")):
        raise OrchestrateError(
            f"--resume goes on with the run as it was planned: {given} cannot be changed",
            hint="leave it out, or start another run: orchestrate run --new",
        )
    unfinished: Unfinished | None
    if resume:
        planned, order, unfinished = _resumed(session, config, flags)
    else:
        if plan_file is not None:
            selecting = bool(select or exclude or failed or base)
            planned = _frozen_plan(session, plan_file, config, flags, selecting=selecting)
        else:
            planned = load_plan(session, config, select=select, exclude=exclude, failed=failed, flags=flags)
        order, unfinished = _order(planned, flags, environ=session.environ, new=new, yes=yes)
        if unfinished is not None:
            planned, order, unfinished = _resumed(session, planned.loaded.config_path, flags)
    for doubt in _require_ready(order):
        session.printer.warn(doubt)
    if unfinished is None:
        _say_what_is_repeated(session, planned)
    if as_json and dry_run:
        _print_plan(session, planned)
    elif not as_json:
        _show_plan(session, planned, unfinished, full=dry_run or not yes)
    if dry_run:
        return ExitCode.DONE
    if not (yes or resume) and not session.confirm("Proceed?", flag="--yes"):
        session.printer.say("nothing was changed")
        return ExitCode.INCOMPLETE
    return _drive(session, order, "json" if as_json else progress)


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


def _dollars(given: float | None) -> float | None:
    if given is not None and not (0 < given < float("inf")):
        raise OrchestrateError(
            f"--max-cost: expected dollars greater than 0, got {given:g}", hint="such as --max-cost 5"
        )
    return given


def _resumed(session: Session, config: Path | None, given: dict[str, object]) -> tuple[Planned, Order, Unfinished]:
    """The newest unfinished run, with the feature list and the settings that it was started with; what is given now wins.

    The plan and the base are those in its log. Raises OrchestrateError when there is none.
    """
    from orchestrate.app.order import Order
    from orchestrate.app.unfinished import last_unfinished_run
    from orchestrate.cli.recorded import common_git_dir
    from orchestrate.spec.frozen import parse_plan
    from orchestrate.store.artifacts import StateDir

    unfinished = None
    if config is None:
        unfinished = last_unfinished_run(StateDir(common_git_dir(session.start, session.environ)))
    if unfinished is None:  # the list may say that its repository lies elsewhere
        planned = load_plan(session, config, select=None, exclude=None, failed=False, flags=given)
        unfinished = last_unfinished_run(StateDir(planned.repository.common_dir))
    if unfinished is None:
        raise OrchestrateError("there is no unfinished run to go on with", hint="start one: orchestrate run")
    flags = {name: value for name, value in unfinished.flags.items() if name != "base_branch"}
    flags |= {name: value for name, value in given.items() if value is not None}
    config = config or (Path(unfinished.config) if unfinished.config else None)
    planned = load_plan(session, config, select=None, exclude=None, failed=False, flags=flags)
    order = Order(
        loaded=planned.loaded,
        repository=planned.repository,
        plan=parse_plan(unfinished.plan),
        base=planned.base,
        inputs=unfinished.inputs,
        environ=session.environ,
        resume=unfinished.run,
        flags=flags,
    )
    return planned, order, unfinished


def _order(
    planned: Planned, flags: dict[str, object], *, environ: Mapping[str, str], new: bool, yes: bool
) -> tuple[Order, Unfinished | None]:
    """Start anew, or go on with the run that is returned. Raises OrchestrateError where the user must say which."""
    from orchestrate.app.order import Order
    from orchestrate.app.unfinished import last_run
    from orchestrate.store.artifacts import StateDir

    inputs = hashlib.sha256(f"{planned.loaded.inputs_digest}/{planned.selection}".encode()).hexdigest()
    unfinished = last_run(StateDir(planned.repository.common_dir))
    goes_on = unfinished is not None and yes and not new and unfinished.inputs == inputs
    if unfinished is not None and not goes_on and not new:
        moved = "" if unfinished.inputs == inputs else ", and its inputs have changed since"
        raise OrchestrateError(
            f"run {unfinished.run} is unfinished{moved}",
            hint="go on with it: orchestrate run --resume   or start another beside it: orchestrate run --new",
        )
    order = Order(
        loaded=planned.loaded,
        repository=planned.repository,
        plan=planned.plan,
        base=planned.base,
        inputs=inputs,
        environ=environ,
        flags=flags,
    )
    return order, unfinished if goes_on else None


def _require_ready(order: Order) -> tuple[str, ...]:
    from orchestrate.app.order import agent_settings
    from orchestrate.app.preflight import require_ready

    return require_ready(order.plan, agent_settings(order.loaded, order.repository, Path()), order.environ)


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
        way = f"git merge {last.branch}" if is_all else f"orchestrate run --failed --base {last.branch}"
        session.printer.warn(
            f"this repeats {listed}, which run {last.run} has integrated into {last.branch}",
            hint=f"to {'take that over' if is_all else 'go on from there'} instead: {way}",
        )


def _print_plan(session: Session, planned: Planned) -> None:
    """What would be run, as the one line that a reader of JSON lines gets."""
    import json

    from orchestrate.views.plan import plan_document

    session.printer.answer(json.dumps({"kind": "result", "dry_run": True, "plan": plan_document(planned.view)}))


def _show_plan(session: Session, planned: Planned, unfinished: Unfinished | None, *, full: bool) -> None:
    """full: to decide on; else only what it is, for the record."""
    from orchestrate.views.plan import plan_lines

    printer = session.printer
    if unfinished is not None:
        since = time.strftime("%Y-%m-%d %H:%M", time.localtime(unfinished.started))
        printer.say(f"going on with run {unfinished.run} of {since}; `--new` would start another")
    else:
        view = planned.view
        lines = plan_lines(view, width=printer.err.width, ascii_only=printer.err.ascii_only, full=False)
        for line in lines if full else lines[:2]:
            printer.say(line)
        for notice in view.notices:
            printer.warn(notice)
        printer.say("")


# ── running ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _drive(session: Session, order: Order, progress: Progress) -> ExitCode:
    from orchestrate.app.running import run_order
    from orchestrate.cli.progress import choose_progress

    shown = choose_progress(session.printer, progress, settings=order.loaded.settings, environ=session.environ)
    with shown:
        ran = run_order(order, shown.follow)
        shown.finish(ran)
    return ran.code
