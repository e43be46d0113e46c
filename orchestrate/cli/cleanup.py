"""`orchestrate cleanup`: says which worktrees and branches of ours may go and why the others stay; then removes those."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from orchestrate.app.unfinished import last_unfinished_run
from orchestrate.cli import complete
from orchestrate.cli.context import Session
from orchestrate.cli.options import JsonOption, YesOption
from orchestrate.cli.printer import Printer
from orchestrate.cli.recorded import Recorded, open_recorded
from orchestrate.core import events as ev
from orchestrate.core.names import AttemptKey
from orchestrate.engine.clock import SystemClock
from orchestrate.engine.lock import Held, acquire, this_process
from orchestrate.errors import ExitCode, OrchestrateError
from orchestrate.git.cleanup import Item, Mode, Removal, remove, survey
from orchestrate.git.repository import Repository, default_branch, open_repository, resolve_base
from orchestrate.store.artifacts import StateDir
from orchestrate.views.figures import count_of, render_size
from orchestrate.views.text import clean, columns, display_width, titled

CLEANUP_SCHEMA = "orchestrate/cleanup/v1"
LEAST_REASON = 24
"""Columns below which a reason stands in a line of its own."""


def cleanup(
    session: Session,
    merged: Annotated[bool, typer.Option("--merged", help="What is merged already. [default]")] = False,
    everything: Annotated[bool, typer.Option("--all", help="All; unmerged work is kept under a private ref.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", "-n", help="Only say what would go, and what stays.")] = False,
    run: Annotated[
        str | None,
        typer.Option("--run", metavar="RUN", help="Only this run's. [default: all]", autocompletion=complete.runs),
    ] = None,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> ExitCode:
    """Remove worktrees and branches that are kept elsewhere.

    Says first what goes and what stays and why. Nothing is removed whose work could not be found again.

    \b
      orchestrate cleanup --merged    what is in a branch that stays
      orchestrate cleanup --dry-run   only look
      orchestrate cleanup --all       everything; work stays in refs/orchestrate/
    """
    if merged and everything:
        raise OrchestrateError("--merged and --all contradict each other", hint="leave one of them out")
    if as_json and not (dry_run or yes):
        raise OrchestrateError("cleanup --json does not ask", hint="answer with --yes, or look first with --dry-run")
    settings = session.settings_at_hand()
    prefix = settings.branch_prefix
    repository = open_repository(session.start, environ=session.environ, branch_prefix=prefix)
    with open_recorded(session.start, session.environ) as recorded, contextlib.ExitStack() as held:
        chosen = recorded.find_run(run) if run else ""
        if not dry_run and recorded.state.root.is_dir():
            held.enter_context(_lock(recorded.state))
        kept = _kept_branches(repository, settings.base_branch, recorded)
        mode: Mode = "all" if everything else "merged"
        under_way = _under_way(recorded)
        items = asyncio.run(
            survey(repository, merged_into=kept, mode=mode, branch_prefix=prefix, run=chosen, under_way=under_way)
        )
        removals: tuple[Removal, ...] = ()
        if not as_json:
            _show_verdicts(session.printer, items)
        if not dry_run and any(item.remove for item in items):
            if not yes and not session.confirm("Proceed?", flag="--yes"):
                session.printer.say("nothing was changed")
                return ExitCode.INCOMPLETE
            removals = asyncio.run(remove(repository, items, branch_prefix=prefix))
    if as_json:
        session.printer.document(_document(mode, items, removals, dry_run=dry_run))
    else:
        _show_outcome(session.printer, removals)
        if everything:
            _show_way_on(
                session.printer, [item for item in items if item.key.run not in {key.run for key in under_way}]
            )
    return ExitCode.INCOMPLETE if any(removal.why for removal in removals) else ExitCode.DONE


def _lock(state: StateDir) -> Held:
    """No engine while things are removed. Raises OrchestrateError when one is at work."""
    return acquire(state.engine_lock, this_process(run="", command="orchestrate cleanup", since=SystemClock().now()))


def _under_way(recorded: Recorded) -> frozenset[AttemptKey]:
    """Attempts that the unfinished run, if there is one, goes on with."""
    unfinished = last_unfinished_run(recorded.state)
    keys: set[AttemptKey] = set()
    for stored in recorded.events(unfinished.run) if unfinished else ():
        match stored.event:
            case ev.AttemptStarted(feature=feature, attempt=attempt):
                keys.add(AttemptKey(stored.run, feature, attempt))
            case ev.AttemptEnded(feature=feature, attempt=attempt):
                keys.discard(AttemptKey(stored.run, feature, attempt))
            case _:
                pass
    return frozenset(keys)


def _kept_branches(repository: Repository, base_branch: str, recorded: Recorded) -> list[str]:
    """Full names of the branches that the user keeps: what is in them is merged."""
    names = {base_branch or default_branch(repository)}
    for run in recorded.log.runs():
        first = recorded.log.first(run)
        if first is not None and isinstance(first.event, ev.RunStarted):
            names.add(first.event.base_branch)
    refs = []
    for name in sorted(names - {""}):
        try:
            base = resolve_base(repository, name)
        except OrchestrateError:
            continue  # a branch that is gone keeps nothing
        if base.kind == "branch":
            refs.append(f"refs/heads/{name}")
        elif base.kind == "remote branch":
            refs.append(f"refs/remotes/{name}")
    return refs


# ── what is said ─────────────────────────────────────────────────────────────────────────────────────────────────


def _show_verdicts(printer: Printer, items: Sequence[Item]) -> None:
    out = printer.out
    if not items:
        out.line("there are no worktrees or branches of orchestrate here")
        return
    for title, goes in (("goes", True), ("stays", False)):
        chosen = [item for item in items if item.remove is goes]
        if chosen:
            out.line(out.paint(title, "bold"))
            rows = [(f"  {_name(item)}", _what(item), clean(item.reason)) for item in chosen]
            for line in columns(rows) if not out.is_terminal else _fitting(rows, out.width):
                out.line(line)
    goes_away = [item for item in items if item.remove]
    if not goes_away:
        out.line("nothing can be removed")
        return
    stay = len(items) - len(goes_away)
    out.line(f"{_amount(goes_away)} can go; {stay} {'stays' if stay == 1 else 'stay'}")


def _amount(items: Sequence[Item]) -> str:
    """`3 worktrees (1.2 MB) and 2 branches`."""
    worktrees = [item for item in items if item.path is not None]
    size = render_size(sum(item.size_bytes for item in worktrees))
    branches = count_of(sum(bool(item.branch) for item in items), "branch", "branches")
    return f"{count_of(len(worktrees), 'worktree')} ({size}) and {branches}"


def _fitting(rows: Sequence[tuple[str, str, str]], width: int) -> list[str]:
    """Rows whose last cell, the reason, goes on below itself where the line is too short for it."""
    heads = columns([row[:2] for row in rows])
    indent = max(display_width(head) for head in heads) + 2
    if width - indent < LEAST_REASON:
        return [line for head, row in zip(heads, rows, strict=True) for line in (head, f"      {row[2]}")]
    return [
        line for head, row in zip(heads, rows, strict=True) for line in titled(head, row[2], width=width, indent=indent)
    ]


def _show_outcome(printer: Printer, removals: Sequence[Removal]) -> None:
    gone = [removal for removal in removals if not removal.why]
    if gone:
        printer.out.line(f"removed {_amount([removal.item for removal in gone])}")
    for removal in removals:
        if removal.why:
            printer.warn(f"{_name(removal.item)} could not be removed: {clean(removal.why)}")
    kept = sorted({removal.kept_at for removal in gone if removal.kept_at})
    if kept:
        printer.say(f"the work stays under private refs; one of them: git log {kept[0]}")


def _show_way_on(printer: Printer, items: Sequence[Item]) -> None:
    """Results that are not in the base branch are never removed here: that is for the user to say."""
    branches = [item.branch for item in items if item.is_integration and item.branch and not item.remove]
    if branches:
        printer.say("integration branches stay until they are merged; to remove one all the same:")
        for branch in branches:
            printer.say(f"  git branch -D {clean(branch)}")


def _name(item: Item) -> str:
    feature = "integration" if item.is_integration else f"{item.key.feature}/{item.key.attempt}"
    return f"{item.key.run}/{feature}"


def _what(item: Item) -> str:
    parts = [f"worktree {render_size(item.size_bytes)}"] if item.path is not None else []
    return " + ".join([*parts, *(["branch"] if item.branch else [])])


def _document(mode: Mode, items: Sequence[Item], removals: Sequence[Removal], *, dry_run: bool) -> dict[str, Any]:
    became = {(removal.item.key, removal.item.path): removal for removal in removals}
    entries = []
    for item in items:
        removal = became.get((item.key, item.path))
        entries.append(
            {
                "run": item.key.run,
                "feature": "" if item.is_integration else item.key.feature,
                "attempt": item.key.attempt,
                "worktree": str(item.path) if item.path else "",
                "branch": item.branch,
                "head": item.head,
                "size_bytes": item.size_bytes,
                "remove": item.remove,
                "reason": item.reason,
                "removed": removal is not None and not removal.why,
                "problem": removal.why if removal else "",
                "kept_at": removal.kept_at if removal else "",
            }
        )
    return {"schema": CLEANUP_SCHEMA, "mode": mode, "dry_run": dry_run, "items": entries}
