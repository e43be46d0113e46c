"""One integration at a time: the integration branch has a single writer. Only what was checked as merged is published."""

from __future__ import annotations

from orchestrate.core import events as ev
from orchestrate.core import retry
from orchestrate.core.attempt import INTEGRATING, Stage
from orchestrate.core.plan import Feature
from orchestrate.core.policy import Policy
from orchestrate.core.state import RunState

from .made import NOTHING, Decided


def integrate_next(s: RunState, _p: Policy, now: float) -> Decided:
    if "disk" in s.holds:
        return NOTHING
    for fid in s.stages[Stage.MERGED]:
        a = s.attempt(fid)
        if a.stopping is None and a.merge is not None:
            is_verified = a.merge.tree == a.tree and a.sealed is not None and not a.sealed.beyond
            also = checked_along(s, s.plan.features[fid])
            proven = a.proof is not None or not (also or needs_proof(s.plan.features[fid], is_verified))
            if proven:
                return Decided(ev.PublishStarted(now, fid, a.number, a.n + 1, a.merge.commit, s.integration_head))
            return Decided(ev.MergeChecksStarted(now, fid, a.number, a.n + 1, a.merge.commit, also))
    if not s.mergeable or any(s.stages[stage] for stage in INTEGRATING) or s.stop == "cancel":
        return NOTHING
    fid = s.unsure if s.unsure and s.features[s.unsure].active else s.mergeable[0][2]
    a = s.attempt(fid)
    losses = (
        retry.LOSS_LIMIT if fid != s.unsure else retry.LOSS_LIMIT + 2
    )  # git may have it already: ask before giving up
    if a.overtaken >= retry.MERGE_LIMIT or a.losses > losses:
        said = a.published.why if a.published else ""
        why = said or "its merge was lost, or overtaken by somebody else, again and again"
        return Decided(ev.AttemptEnded(now, fid, a.number, a.n + 1, "failed", why))
    return Decided(ev.MergeStarted(now, fid, a.number, a.n + 1, a.head, s.integration_head))


def checked_along(s: RunState, f: Feature) -> tuple[str, ...]:
    """Features in the branch with checks that `f` has not: its merge must not break them. In order of arrival."""
    own = {(c.name, c.run) for c in f.verify if c.when != "feature"}
    return tuple(dict.fromkeys(fid for check, fid in s.standing.items() if check not in own))


def needs_proof(f: Feature, tree_is_verified: bool) -> bool:
    """Whether the merged tree must be checked: not if the very same tree, and nothing beside it, has passed all the checks
    that would run."""
    due = [c for c in f.verify if c.when != "feature"]
    return bool(due) and not (tree_is_verified and all(c.when == "both" for c in due))
