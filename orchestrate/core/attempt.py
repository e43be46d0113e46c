"""Where one attempt stands, and which event may come when: the transition table.

Theory of operation. An attempt alternates between *deciding* stages (ready, queued, merged), where rules say what is
next, and *in-flight* stages, where exactly one effect is under way and exactly one observation ends it. An event that
may not come in a stage is a defect and raises at once. The diagram in the docs is generated from TRANSITIONS.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from . import events as ev


class Stage(Enum):
    """Value is the word people see."""

    PREPARING = "preparing"
    READY = "ready"
    INVOKING = "working"
    SEALING = "sealing"
    CHECKING = "checking"
    QUEUED = "queued"
    MERGING = "merging"
    MERGED = "merged"
    PROVING = "proving"
    PUBLISHING = "publishing"
    ENDED = "ended"


IN_FLIGHT = frozenset(
    {Stage.PREPARING, Stage.INVOKING, Stage.SEALING, Stage.CHECKING, Stage.MERGING, Stage.PROVING, Stage.PUBLISHING}
)
"""An effect is under way."""

WORKING = frozenset({Stage.PREPARING, Stage.READY, Stage.INVOKING, Stage.SEALING, Stage.CHECKING})
"""The attempt holds one of the run's slots."""

INTEGRATING = frozenset({Stage.MERGING, Stage.MERGED, Stage.PROVING, Stage.PUBLISHING})
"""The attempt is the one writer of the integration branch."""

_DECIDING = frozenset({Stage.READY, Stage.QUEUED, Stage.MERGED})

TRANSITIONS: dict[type[ev.AttemptEvent], tuple[frozenset[Stage], Stage | None]] = {
    # event: (stages it may come in, stage after; None: stays)
    ev.WorktreePrepared: (frozenset({Stage.PREPARING}), Stage.READY),
    ev.WorktreeFailed: (frozenset({Stage.PREPARING}), Stage.READY),
    ev.InvocationStarted: (frozenset({Stage.READY}), Stage.INVOKING),
    ev.InvocationProgressed: (frozenset({Stage.INVOKING}), None),
    ev.WorkSaved: (frozenset({Stage.INVOKING}), None),
    ev.InvocationFinished: (frozenset({Stage.INVOKING}), Stage.READY),
    ev.SealStarted: (frozenset({Stage.READY}), Stage.SEALING),
    ev.WorkSealed: (frozenset({Stage.SEALING}), Stage.READY),
    ev.ChecksStarted: (frozenset({Stage.READY}), Stage.CHECKING),
    ev.ChecksFinished: (frozenset({Stage.CHECKING}), Stage.READY),
    ev.AttemptVerified: (frozenset({Stage.READY}), Stage.QUEUED),
    ev.MergeStarted: (frozenset({Stage.QUEUED}), Stage.MERGING),
    ev.MergeFinished: (frozenset({Stage.MERGING}), Stage.MERGED),
    ev.MergeChecksStarted: (frozenset({Stage.MERGED}), Stage.PROVING),
    ev.MergeChecksFinished: (frozenset({Stage.PROVING}), Stage.MERGED),
    ev.PublishStarted: (frozenset({Stage.MERGED}), Stage.PUBLISHING),
    ev.Published: (frozenset({Stage.PUBLISHING}), Stage.MERGED),
    ev.AttemptStopping: (frozenset(Stage) - {Stage.ENDED}, None),
    ev.AttemptParked: (_DECIDING, None),
    ev.AttemptEnded: (_DECIDING, Stage.ENDED),
    ev.EffectLost: (IN_FLIGHT, None),  # back to the deciding stage before it: see BEFORE
}

BEFORE: dict[Stage, Stage] = {
    Stage.PREPARING: Stage.READY,
    Stage.INVOKING: Stage.READY,
    Stage.SEALING: Stage.READY,
    Stage.CHECKING: Stage.READY,
    Stage.MERGING: Stage.QUEUED,
    Stage.MERGED: Stage.QUEUED,
    Stage.PROVING: Stage.QUEUED,
    Stage.PUBLISHING: Stage.QUEUED,
}
"""Where an attempt stands again when what it had in flight is lost."""


@dataclass(frozen=True, slots=True)
class Invoked:
    """What the rules may know of a finished invocation."""

    phase: ev.Phase
    end: ev.InvocationEnd
    at: float
    why: str = ""
    denials: tuple[str, ...] = ()
    duration_s: float = 0.0
    session_lost: bool = False
    rework: bool = False
    """It was given as one of the attempt's reworks."""
    unreached: bool = False
    """Its service said nothing at all: no fault of the attempt."""


@dataclass(slots=True)
class Attempt:
    """One try at a feature. Changed in place by the fold, and only there."""

    number: int
    started_at: float
    parents: tuple[str, ...] = ()
    stage: Stage = Stage.PREPARING
    n: int = 0
    """Decided events so far."""
    prepared: bool = False
    problem: ev.WorktreeFailed | None = None
    past: list[Invoked] = field(default_factory=list)
    phase: ev.Phase = "edit"
    session_number: int = 1
    invoking_since: float = 0.0
    reserved_usd: float = 0.0
    sealed: ev.WorkSealed | None = None
    checks: ev.ChecksFinished | None = None
    head: str = ""
    tree: str = ""
    merge: ev.MergeFinished | None = None
    proof: ev.MergeChecksFinished | None = None
    published: ev.Published | None = None
    overtaken: int = 0
    """Merges that somebody else made void by moving the integration branch."""
    losses: int = 0
    stopping: ev.AttemptStopping | None = None
    released: bool = False
    """It was to be interrupted, and the reason is gone before its work had ended."""
    parked: bool = False
    outcome: ev.Outcome | None = None
    why: str = ""

    @property
    def worked_s(self) -> float:
        """Wall clock of its agents so far, seconds, but for the time in which their service could not be reached."""
        return sum(i.duration_s for i in self.past if not i.unreached)

    @property
    def reworks(self) -> int:
        return sum(i.rework for i in self.past)
