"""The fail points, by what is going on when they are reached. A test compares this list with what really is reached."""

from __future__ import annotations


def _both(*names: str) -> tuple[str, ...]:
    return tuple(f"{name}.{when}" for name in names for when in ("before", "after"))


POINTS: dict[str, dict[str, tuple[str, ...]]] = {
    "run": {
        "create": (
            *("lock.taken", "log.created.before"),
            *_both("file.log.sqlite3", "resume.orphans"),
            *_both("log.RunStarted", "log.EngineStarted", "log.AttemptStarted"),
            *("effect.PrepareWorktree.begin", "worktree.attempt.marked.before", "effect.PrepareWorktree.end"),
            *_both("git.worktree-add", "git.reset", "log.WorktreePrepared"),
        ),
        "run": (
            *("effect.RunAgent.begin", "effect.RunAgent.end"),
            *_both("log.InvocationStarted", "log.InvocationProgressed", "log.InvocationFinished"),
        ),
        "check": (
            *("effect.SealWork.begin", "effect.SealWork.end", "effect.RunChecks.begin", "effect.RunChecks.end"),
            *_both("git.add", "git.commit", "log.SealStarted", "log.WorkSealed"),
            *_both("log.ChecksStarted", "log.ChecksFinished", "log.AttemptVerified"),
        ),
        "integrate": (
            *("effect.MergeWork.begin", "effect.MergeWork.end", "effect.RunMergeChecks.begin"),
            *("effect.RunMergeChecks.end", "worktree.integration.marked.before"),
            *_both("git.merge-tree", "git.commit-tree"),
            *_both("log.MergeStarted", "log.MergeFinished", "log.MergeChecksStarted", "log.MergeChecksFinished"),
        ),
        "publish": (
            *("effect.PublishMerge.begin", "effect.PublishMerge.end", "effect.KeepWork.begin", "effect.KeepWork.end"),
            *_both("git.update-ref-merged", "log.PublishStarted", "log.Published", "log.AttemptEnded"),
        ),
        "end": (*_both("log.RunEnded", "file.report.json", "file.report.md"), "lock.released.before"),
    },
    "beside": {"integrate": _both("git.checkout", "git.clean")},
    "halt": {"park": _both("log.AttemptParked", "git.update-ref-private", "git.write-tree")},
    "pace": {"save": _both("checkpoint", "log.WorkSaved")},
    "resume": {"resume": ("resume.salvage.before", *_both("resume.reconcile", "file.log"))},
    "cancel": {"control": _both("control.CancelRequested", "log.CancelRequested", "log.AttemptStopping")},
    "pause": {"control": _both("control.PauseRequested", "log.PauseRequested")},
    "retry": {"control": _both("control.RetryRequested", "log.RetryRequested", "log.FeatureReopened")},
    "again": {},
    "cleanup": {
        "cleanup": (
            *("cleanup.item.begin", "cleanup.item.kept", "cleanup.item.end"),
            *_both("git.worktree-remove", "git.delete-ref-attempt"),
        ),
    },
}
"""Flow → area → names; a point stands with the first flow that reaches it."""
