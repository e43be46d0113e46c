"""`orchestrate diff FEATURE`: what the feature's last attempt changed against the commit that it started from."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from orchestrate.cli.context import Session
from orchestrate.cli.options import FeatureArgument, RunOption
from orchestrate.cli.printer import Stream
from orchestrate.cli.recorded import find_feature, open_recorded, plan_of
from orchestrate.core.names import AttemptKey, checkpoint_ref
from orchestrate.errors import OrchestrateError
from orchestrate.git.link import find_link
from orchestrate.git.run import Git, build_git
from orchestrate.views.attempts import AttemptView
from orchestrate.views.figures import count_of
from orchestrate.views.run import build_view
from orchestrate.views.text import clean, clean_block

_STYLES = (("+++", "bold"), ("---", "bold"), ("diff ", "bold"), ("@@", "cyan"), ("+", "green"), ("-", "red"))


def diff(
    session: Session,
    feature: FeatureArgument,
    stat: Annotated[bool, typer.Option("--stat", help="Only which files, and how much.")] = False,
    run: RunOption = None,
) -> None:
    """What a feature changed.

    \b
      orchestrate diff api              its last attempt, against its base
      orchestrate diff api --stat       which files
      orchestrate diff api | git apply  take it over, uncommitted
    """
    with open_recorded(session.start, session.environ) as recorded:
        run = recorded.find_run(run)
        events = recorded.events(run)
        common = recorded.state.common_git_dir
    plan = plan_of(events)
    fid = find_feature(plan, feature, f"run {run}")
    attempt = build_view(plan, (stored.event for stored in events)).features[fid].attempt
    if attempt is None or not attempt.base:
        problem = f": {clean(attempt.problem.why)}" if attempt is not None and attempt.problem else ""
        raise OrchestrateError(f"feature {fid} has no worktree in this run{problem}", hint="orchestrate status")
    git = build_git(session.start, session.environ)
    head = _newest_work(git, AttemptKey(run, fid, attempt.number), attempt)
    for commit in (attempt.base, head):
        if not git.run_now("cat-file", "-e", f"{commit}^{{commit}}", ok=(0, 1, 128)).ok:
            raise OrchestrateError(
                f"the commits of attempt {attempt.number} at {fid} are gone: git has no {commit[:10]}",
                hint=f"orchestrate recover --run {run} lists what is left",
            )
    out = session.printer.out
    kind = ["--stat", f"--stat-width={out.width}"] if stat else ["--patch", "--binary"]
    made = git.run_now("diff", "--no-color", "--no-ext-diff", "--no-textconv", *kind, attempt.base, head, "--")
    write_patch(out, made.stdout)
    if not made.stdout:
        session.printer.say(f"attempt {attempt.number} at {fid} has changed nothing that is committed")
    if attempt.ended is None and (waiting := _uncommitted(git, common, Path(attempt.path))):
        session.printer.say(
            f"not shown: {count_of(waiting, 'file')} in {attempt.path} that the attempt has not committed yet"
        )


def _newest_work(git: Git, key: AttemptKey, attempt: AttemptView) -> str:
    """What was sealed in the end; of a running attempt its branch as it stands; of one that was broken off what was saved."""
    branch = f"refs/heads/{attempt.branch}"
    if attempt.ended is not None and attempt.head != attempt.base:
        return attempt.head
    for ref in (branch, checkpoint_ref(key)) if attempt.ended is None else (checkpoint_ref(key), branch):
        done = git.run_now("rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}", ok=(0, 1))
        if done.ok:
            return os.fsdecode(done.stdout).strip()
    return attempt.head


def _uncommitted(git: Git, common: Path, path: Path) -> int:
    """Files in the worktree that differ from its last commit; 0 when there is no such worktree."""
    link = find_link(common, path)
    if link is None or not path.is_dir():
        return 0
    status = git.at(path, link.admin).run_now("status", "--porcelain", "-z", "--untracked-files=all", "--no-renames")
    return sum(1 for entry in status.stdout.split(b"\0") if entry)


def write_patch(out: Stream, patch: bytes) -> None:
    """Byte for byte into a file or a pipe, for `git apply`; harmless and in colour on a terminal."""
    buffer = getattr(out.file, "buffer", None)
    if not out.is_terminal and not out.color and buffer is not None:
        buffer.write(patch)
        buffer.flush()
        return
    for line in patch.decode("utf-8", "replace").split("\n")[:-1]:
        style = next((name for sign, name in _STYLES if line.startswith(sign)), "")
        text = clean_block(line)
        out.line(out.paint(text, style) if style else text)
