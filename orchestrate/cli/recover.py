"""`orchestrate recover`: lists what can be brought back of any attempt of any run, and brings it back."""

from __future__ import annotations

import asyncio
import os
import shlex
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from orchestrate.app.recoverable import Entry, list_entries, pick
from orchestrate.cli import complete
from orchestrate.cli.context import Session
from orchestrate.cli.diff import write_patch
from orchestrate.cli.options import RUN_HELP, JsonOption
from orchestrate.cli.printer import Printer
from orchestrate.cli.recorded import match_run, open_recorded, parse_attempt
from orchestrate.errors import OrchestrateError
from orchestrate.git.recover import bring_into_branch, bring_into_worktree, tree_of
from orchestrate.git.repository import Repository, open_repository
from orchestrate.views.figures import count_of
from orchestrate.views.text import clean, columns, display_width

RECOVER_SCHEMA = "orchestrate/recover/v1"

HEAD = ("run", "feature", "when", "state", "work", "in")


def recover(
    session: Session,
    feature: Annotated[
        str | None,
        typer.Argument(
            metavar="FEATURE[@N]", help="A feature, or one attempt at it.", autocompletion=complete.features
        ),
    ] = None,
    branch: Annotated[str | None, typer.Option("--branch", "-b", metavar="NAME", help="Into a new branch.")] = None,
    worktree: Annotated[
        Path | None,
        typer.Option("--worktree", "-w", metavar="DIR", help="Into a new worktree (with -b: on that branch)."),
    ] = None,
    show: Annotated[bool, typer.Option("--show", help="What it changed: files, then the patch.")] = False,
    run: Annotated[
        str | None,
        typer.Option("--run", metavar="RUN", help=f"{RUN_HELP} [default: all]", autocompletion=complete.runs),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Also what is in a branch that stays, or empty.")] = False,
    as_json: JsonOption = False,
) -> None:
    """List the work that can be brought back, or bring it back.

    Work of every attempt is kept, committed or not, also after cleanup. What was not committed becomes one more commit in a
    branch, and uncommitted files in a worktree. Nothing that exists is overwritten.

    \b
      orchestrate recover                           what there is
      orchestrate recover api --show                what it changed
      orchestrate recover api@1 --branch api-first  into a new branch
      orchestrate recover api --worktree ../api     into a new worktree
    """
    if feature is None and (branch or worktree or show):
        raise OrchestrateError("which feature is meant?", hint="see what there is: orchestrate recover")
    if as_json and show:
        raise OrchestrateError("--show prints a patch, not JSON", hint="leave one of them out")
    settings = session.settings_at_hand()
    repository = open_repository(session.start, environ=session.environ, branch_prefix=settings.branch_prefix)
    with open_recorded(session.start, session.environ) as recorded:
        entries = list_entries(repository, recorded.log, branch_prefix=settings.branch_prefix)
        runs = recorded.log.runs()
    if run is not None:
        run = match_run(run, runs, [e.item.key.run for e in entries], listing="orchestrate recover --all")
        entries = _of_run(entries, run)
    if feature is None:
        _list(session.printer, entries, everything=everything, as_json=as_json)
        return
    name, number = parse_attempt(feature)
    entry = pick(entries, name, number, run or "")
    if not (branch or worktree or show):
        raise OrchestrateError(
            f"what is to be done with {entry.item.key.feature}@{entry.item.key.attempt}?",
            hint="--show, --branch NAME or --worktree DIR",
        )
    if show:
        _show(session, repository, entry)
    if branch or worktree:
        _bring(session, repository, entry, branch or "", worktree, as_json=as_json)


def _of_run(entries: Sequence[Entry], run: str) -> tuple[Entry, ...]:
    found = tuple(entry for entry in entries if entry.item.key.run == run)
    if not found:
        raise OrchestrateError(f"nothing of run {run} is left to bring back", hint="see all: orchestrate recover --all")
    return found


# ── listing ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _list(printer: Printer, entries: Sequence[Entry], *, everything: bool, as_json: bool) -> None:
    shown = [entry for entry in entries if everything or not (entry.is_kept or entry.is_empty)]
    if as_json:
        printer.document({"schema": RECOVER_SCHEMA, "entries": [_document(entry) for entry in shown]})
        return
    rest = len(entries) - len(shown)
    if not shown:
        printer.say("there is no work that is not in a branch that stays" if rest else "no run has left any work here")
    else:
        lines = table_of(shown, printer.out.width if printer.out.is_terminal else None)
        printer.out.line(printer.out.paint(lines[0], "dim"))
        for line in lines[1:]:
            printer.out.line(line)
        first = next((entry for entry in shown if not entry.item.problem), None)
        if first is not None:
            key = first.item.key
            printer.say(f"to see one: orchestrate recover {key.feature}@{key.attempt} --run {key.run} --show")
            printer.say("to bring it back: the same with --branch NAME or --worktree DIR")
    if rest:
        what = "is in a branch that stays, or empty" if rest == 1 else "are in branches that stay, or empty"
        printer.say(f"{rest} more {what}: orchestrate recover --all")


def table_of(shown: Sequence[Entry], width: int | None) -> list[str]:
    """Head and rows. width: of the terminal. Where they do not fit, the columns go first that can be missed: a run's id begins with its day."""
    rows = [HEAD, *(_cells(entry) for entry in shown)]
    lines: list[str] = []
    for left_out in ((), ("when",), ("when", "in")):
        kept = [i for i, name in enumerate(HEAD) if name not in left_out]
        lines = columns([[row[i] for i in kept] for row in rows])
        if width is None or max(map(display_width, lines)) <= width:
            break
    return lines


def _cells(entry: Entry) -> tuple[str, ...]:
    item = entry.item
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(entry.at)) if entry.at else ""
    work = [count_of(item.commits, "commit")] if item.commits else []
    work += [count_of(item.changed, "file")] if item.changed else []
    words = ", ".join(work) or "no changes"
    if item.uncommitted:
        words += f", {item.uncommitted} uncommitted"
    where = ", ".join(item.where)
    if item.held_by:
        where += f"; all of it in {item.held_by}"
    if item.problem:
        words, where = f"lost: {item.problem}", ""
    return (
        clean(item.key.run), clean(f"{item.key.feature}@{item.key.attempt}"), when, entry.standing, words, clean(where),
    )  # fmt: skip


def _document(entry: Entry) -> dict[str, Any]:
    """Times in UTC, ISO 8601."""
    item = entry.item
    return {
        "run": item.key.run,
        "feature": item.key.feature,
        "attempt": item.key.attempt,
        "at": datetime.fromtimestamp(entry.at, UTC).isoformat(timespec="seconds") if entry.at else None,
        "state": entry.standing,
        "worktree": str(item.path) if item.path else "",
        "branch": item.branch.removeprefix("refs/heads/"),
        "private_ref": item.ref,
        "head": item.head,
        "base": item.base,
        "commits": item.commits,
        "changed_files": item.changed,
        "uncommitted_files": item.uncommitted,
        "held_by": item.held_by,
        "problem": item.problem,
    }


# ── one ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _show(session: Session, repository: Repository, entry: Entry) -> None:
    item, out = entry.item, session.printer.out
    tree = asyncio.run(tree_of(repository, item))
    base = item.base or repository.git.run_now("hash-object", "-t", "tree", "/dev/null").stdout.decode().strip()
    kind = ("--stat", "--patch", "--binary", f"--stat-width={out.width}")
    made = repository.git.run_now("diff", "--no-color", "--no-ext-diff", "--no-textconv", *kind, base, tree, "--")
    write_patch(out, made.stdout)
    if not made.stdout:
        session.printer.say(f"attempt {item.key.attempt} at {item.key.feature} has changed nothing")


def _bring(
    session: Session, repository: Repository, entry: Entry, branch: str, worktree: Path | None, *, as_json: bool
) -> None:
    item, printer = entry.item, session.printer
    path = Path(os.path.normpath(session.path(worktree))) if worktree is not None else None
    tip = item.head
    if path is not None:
        asyncio.run(bring_into_worktree(repository, item, path, branch))
    else:
        tip = asyncio.run(bring_into_branch(repository, item, branch))
    if as_json:
        made = {"branch": branch, "worktree": str(path) if path else "", "commit": tip}
        printer.document({"schema": RECOVER_SCHEMA, "entries": [_document(entry)], "made": made})
        return
    what = f"attempt {item.key.attempt} at {item.key.feature} of run {item.key.run}"
    if path is not None:
        on = f", on branch {branch}" if branch else ""
        printer.answer(clean(f"brought back {what} into {path}{on}"))
        printer.say(f"cd {shlex.quote(clean(str(path)))}")
        return
    printer.answer(clean(f"brought back {what} into branch {branch}"))
    printer.say(f"git log {clean(branch)}")
