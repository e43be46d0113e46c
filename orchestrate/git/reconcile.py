"""Compare what the log says of a run with what git has, and settle the difference, rule by rule, before an engine goes on.

Invariant: no commit and no file that was reachable before is out of reach afterwards; where two people's wishes differ, the
run is refused with both ways named, before anything is changed. Asked for again, the rules find nothing to do.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from orchestrate import failpoint
from orchestrate.errors import OrchestrateError

from . import attemptrules, runrules
from .scene import Finding, Scene, Standing


async def reconcile(scene: Scene) -> tuple[Finding, ...]:
    """Every rule, in order. Raises CannotGoOn before anything is changed; GitError, OSError."""
    await runrules.require_sound(scene.repository, scene.record, branch_prefix=scene.prefix)
    runrules.require_own_worktrees(scene)
    failpoint.reach("resume.reconcile.before")
    found: list[Finding] = []
    for rule in RULES:
        if rule.of_run is not None:
            found += await rule.of_run(scene)
    for attempt in scene.record.standing:
        found += await _settle(scene, attempt)
    failpoint.reach("resume.reconcile.after")
    return tuple(found)


async def _settle(scene: Scene, attempt: Standing) -> list[Finding]:
    """Until one rule says that the attempt begins anew. Trouble with one attempt is told, and left to its next effect."""
    found: list[Finding] = []
    try:
        for rule in RULES:
            if rule.of_attempt is not None:
                found += await rule.of_attempt(scene, attempt)
            if any(finding.then == "anew" for finding in found):
                break
    except (OrchestrateError, OSError) as problem:
        words = f"its worktree could not be compared with the log: {problem}"
        found.append(Finding("", words, attempt.key.feature, is_open=True))
    return found


@dataclass(frozen=True, slots=True)
class Rule:
    """One row. found, settled: in words, for the page that is made of the table. Without a function: settled elsewhere."""

    number: str
    found: str
    settled: str
    of_run: Callable[[Scene], Awaitable[list[Finding]]] | None = None
    of_attempt: Callable[[Scene, Standing], Awaitable[list[Finding]]] | None = None


RULES: tuple[Rule, ...] = (
    Rule(
        "R1",
        "The commit that the run started from, or the one up to which features were integrated, is gone; or the integration "
        "branch was set to where it lacks what was integrated, and holds commits of its own, or is checked out; or the repository is a copy, and the worktrees are the original's",
        "Refused (exit code 2) with the ways out, before anything is changed",
    ),
    Rule(
        "R2",
        "The integration branch was deleted, or moved back",
        "It is put where the log has it: created, or moved forward from where it is; nobody's commits are lost by that",
        of_run=runrules.put_integration_branch_back,
    ),
    Rule(
        "R3",
        "Lock files beside the refs of the run (`refs/heads/<prefix>/<run>`, `refs/orchestrate/<run>`)",
        "Removed: nothing of the run is alive, and nobody else writes there",
        of_run=runrules.clear_locks_of_refs,
    ),
    Rule(
        "R4",
        "`packed-refs.lock`, `config.lock` or `shallow.lock` in your repository",
        "Left alone and named, with the command that removes it: a git of yours may be at work",
        of_run=runrules.name_locks_of_others,
    ),
    Rule(
        "R5",
        "An entry in `.git/worktrees` for a worktree of the run that was never finished, or that cannot be read",
        "Put aside in `.git/orchestrate/entries`; an empty directory that belongs to it is removed",
        of_run=runrules.put_half_made_entries_aside,
    ),
    Rule(
        "R6",
        "The entry of the worktree in which merges are checked is broken",
        "Put aside; the worktree is made again when it is needed, and what lies in its place is moved aside then",
        of_run=runrules.mend_integration_worktree,
    ),
    Rule(
        "R7",
        "The repository or the worktrees were moved, or the worktree's `.git` file is gone or replaced",
        "Entry and worktree point at each other again; what stood in place of the `.git` file is kept in the entry",
        of_attempt=attemptrules.tie_again,
    ),
    Rule(
        "R8",
        "The worktree was moved elsewhere with `git worktree move`",
        "It is moved back: an agent's session can be resumed only where it began",
        of_attempt=attemptrules.move_back,
    ),
    Rule(
        "R9",
        "Lock files and unfinished files of ours in the worktree's entry",
        "Removed; a lock stays, and is named, while some process works in the worktree",
        of_attempt=attemptrules.clear_leavings,
    ),
    Rule(
        "R10",
        "Commits that the worktree stands on were deleted from the repository",
        "The branch goes back to the base; the files, which are all there, are saved and count as uncommitted work",
        of_attempt=attemptrules.rescue_from_lost_objects,
    ),
    Rule(
        "R11",
        "The worktree's directory is there, its entry is broken or gone",
        "A new entry on the attempt's branch; no file is touched, what differs from the commit is uncommitted. Also while a run is under way, before work is committed or saved",
        of_attempt=attemptrules.rebuild_broken_entry,
    ),
    Rule(
        "R12",
        "The worktree's directory is gone (and perhaps entry and branch, too)",
        "Made again at the same place on the same branch, from the newest of branch, private ref, entry and log: commits as "
        "commits, uncommitted work as uncommitted files; ignored files are copied and setup runs again",
        of_attempt=attemptrules.make_worktree_again,
    ),
    Rule(
        "R13",
        "Nothing of the attempt's work is left, or its worktree cannot be set up again",
        "The attempt ends as `interrupted`, which does not count as a try, and another begins",
        of_attempt=attemptrules.finish_making_again,
    ),
    Rule(
        "R14",
        "The worktree's index is gone or cannot be read",
        "Made again from its commit; no file is touched, the old index is kept as `index.broken`",
        of_attempt=attemptrules.mend_index,
    ),
    Rule(
        "R15",
        "The attempt's branch was deleted",
        "Put back at the newest commit that is known of it",
        of_attempt=attemptrules.put_branch_back,
    ),
    Rule(
        "R16",
        "Somebody moved the attempt's branch under its worktree",
        "Further on: the worktree follows, where that overwrites no change. Elsewhere: it is moved back, and the commits that it "
        "was moved to stay under the private ref",
        of_attempt=attemptrules.follow_branch,
    ),
    Rule(
        "R17",
        "The commit that is still to be integrated is gone from the repository",
        "Files that are left are saved; the attempt ends as `interrupted`, and another begins",
        of_attempt=attemptrules.keep_head,
    ),
    Rule(
        "R18",
        "The private ref of an attempt that goes on is gone, or older than its worktree",
        "The worktree, or the branch, is saved there again",
        of_attempt=attemptrules.save_again,
    ),
    Rule(
        "R19",
        "Committed work waits for its checks, and the worktree has been changed since, by you for instance",
        "It is committed anew, and that is what is checked and merged",
        of_attempt=attemptrules.seal_again,
    ),
    Rule(
        "R20",
        "A merge was published, but the engine died before the log had it",
        "When the feature is merged again, the merge commit is found by its trailer (`Orchestrate-Attempt`) and counts",
    ),
    Rule(
        "R21",
        "The integration branch is ahead, with commits of yours",
        "They are kept: the next merge is made on top of them, and checked with them",
    ),
    Rule(
        "R22",
        "While features are integrated, you have the integration branch checked out, or set it to where it lacks what was integrated",
        "They wait, and say so, until you switch to another branch, or put it back",
    ),
    Rule(
        "R23",
        "The worktree's HEAD is detached, on another branch, or in the middle of a rebase or merge",
        "Left as it is, for the agent that goes on may have done so. When its work is committed, it is brought back onto its "
        "branch, or the attempt fails with the reason",
    ),
    Rule(
        "R24",
        "A worktree was being made when the engine died",
        "That attempt ends as `interrupted`, what there is of it is saved, and the next one makes a worktree of its own",
    ),
    Rule(
        "R25",
        "Worktrees, branches and private refs of attempts that have ended, or of runs that the log does not know",
        "Left alone; `orchestrate recover` lists them, `orchestrate cleanup` says which may go",
    ),
)
"""In the order in which they are applied: first the run, then one attempt after the other."""


def render_table() -> str:
    """As Markdown, for docs/reconciliation.md."""
    rows = [f"| {rule.number} | {rule.found} | {rule.settled} |" for rule in RULES]
    return "\n".join(["| | what is found | what is done |", "|---|---|---|", *rows])
