"""Facts, in the past tense: the whole vocabulary of the log.

Decided events come from decide(), observed ones from performers and people; both are stored before anything follows
from them. Fields are only ever added, with defaults; a meaning never changes. `at` is Unix time in seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

InvocationEnd = Literal[
    "done",  # the agent said that it is done
    "incomplete",  # its own limit of turns or money came first
    "denied",  # it said done, but was denied something on the way
    "transient",  # the service failed in a way that passes
    "limit",  # a usage limit of the account, with a reset time if known
    "auth",  # not signed in, or not paid for: needs a person
    "config",  # refused before it began: flag, model, settings
    "interrupted",  # ended by us
    "killed",  # ended by a signal that was not ours
    "crashed",  # ended without a result
    "stalled",  # silent for too long; ended by us
    "timed_out",  # over the attempt's wall clock; ended by us
]
"""How one agent process ended."""

Outcome = Literal[
    "integrated", "failed", "no_changes", "conflicted", "cancelled", "skipped", "interrupted", "postponed"
]
"""How one attempt ended. `interrupted` (by us) and `postponed` (waits for its dependencies) do not count as tries."""

RunEnd = Literal["done", "incomplete", "limit", "interrupted", "halted"]
"""How a run ended: all integrated · some not · stopped by a limit · stopped by a person · stopped by a fault of the account."""

HoldCause = Literal["operator", "disk", "machine"]
"""Why a run stands still: a person wants it · the disk is nearly full · something else of the machine has run out."""

Phase = Literal["edit", "rework", "proceed"]
"""Purpose of an invocation: first work · again with feedback · go on where it was cut off."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """Tokens by kind, as the agent's service counts them."""

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write: int = 0

    def __add__(self, other: Tokens) -> Tokens:
        return Tokens(
            self.input + other.input,
            self.output + other.output,
            self.cache_read + other.cache_read,
            self.cache_write + other.cache_write,
        )

    @property
    def total(self) -> int:
        return self.input + self.output + self.cache_read + self.cache_write


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One check, run once. tail: last part of its output, bounded and redacted. artifact: file with more of it."""

    name: str
    command: str
    ok: bool
    exit_code: int | None = None
    timed_out: bool = False
    duration_s: float = 0.0
    tail: str = ""
    artifact: str = ""


@dataclass(frozen=True, slots=True)
class Event:
    at: float


# ── the run ──────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class RunStarted(Event):
    """Decided by the user. plan: the plan as JSON (spec.frozen). base: commit id."""

    run: str
    project: str
    base: str
    base_branch: str
    integration_branch: str
    plan: str
    version: str = ""
    inputs: str = ""
    """Digest of everything the plan was made of, to see whether it moved."""
    config: str = ""
    """Absolute path of the feature list, for an engine that goes on with the run."""
    flags: str = ""
    """Settings given on the command line, by setting name, as a JSON object."""


@dataclass(frozen=True, slots=True)
class EngineStarted(Event):
    """An engine took the run over. Whatever was in flight before it is lost: the fold says so, the rules go on."""

    pid: int
    host: str = ""
    version: str = ""
    parallel: int = 0
    """Slots for attempts; 0 in logs that do not say."""


# ── what people ask for (controls), and what the machine forces ──────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class StopRequested(Event):
    """A person wants the run to end: `drain` starts nothing new, `cancel` also ends what runs. control: see Control."""

    how: Literal["drain", "cancel"]
    by: str = ""
    control: int = 0


@dataclass(frozen=True, slots=True)
class Control(Event):
    """by: who asked (`anna@host`; `engine` for the machine itself). control: its number in the store, 0 for what did not
    come through the store."""

    by: str = ""
    control: int = 0


@dataclass(frozen=True, slots=True)
class PauseRequested(Control):
    """Nothing new starts until ResumeRequested for the same cause. now: running agents are also ended, their work and
    session kept. Causes: an operator; a disk, or a machine, that has no room."""

    cause: HoldCause = "operator"
    now: bool = False
    why: str = ""


@dataclass(frozen=True, slots=True)
class ResumeRequested(Control):
    """What was held for this cause goes on."""

    cause: HoldCause = "operator"


@dataclass(frozen=True, slots=True)
class CancelRequested(Control):
    """These features (none named: all that have not ended) are given up; their work is kept."""

    features: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RetryRequested(Control):
    """These features (none named: all that ended without being integrated) are tried again, with what they depend on and
    what was skipped because of them. Earlier tries do not count any more; what was spent does."""

    features: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AnswerGiven(Control):
    """Words of a person for a feature's agent, which gets them with its next invocation. question: what they answer."""

    feature: str = ""
    text: str = ""
    question: str = ""


@dataclass(frozen=True, slots=True)
class RunEnded(Event):
    """Decided. Nothing of the run is under way any more."""

    status: RunEnd
    why: str = ""


@dataclass(frozen=True, slots=True)
class Warned(Event):
    """Something a person should know that changes no decision. feature may be empty."""

    feature: str
    message: str


# ── a feature: decided ───────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class FeatureSkipped(Event):
    feature: str
    why: str


@dataclass(frozen=True, slots=True)
class FeatureCancelled(Event):
    """Given up before it had begun, or between two attempts."""

    feature: str
    why: str


@dataclass(frozen=True, slots=True)
class FeatureReopened(Event):
    """It had ended and is tried again, as RetryRequested asked; its earlier tries do not count any more."""

    feature: str


@dataclass(frozen=True, slots=True)
class AttemptEvent(Event):
    feature: str
    attempt: int


@dataclass(frozen=True, slots=True)
class DecidedAttemptEvent(AttemptEvent):
    """n: running number inside the attempt; makes the effect's id unique and the same in every replay."""

    n: int


@dataclass(frozen=True, slots=True)
class AttemptStarted(DecidedAttemptEvent):
    """parents: commits whose merge is the base; one or more, commit ids."""

    parents: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class InvocationStarted(DecidedAttemptEvent):
    """session: id chosen by us, durable before the agent starts. timeout_s: what is left of the attempt's wall clock.
    max_cost_usd: allowance of this invocation; None: no limit. feedback: what a rework is told, bounded."""

    invocation: int
    phase: Phase
    session: str
    resume: bool
    timeout_s: float
    max_cost_usd: float | None = None
    feedback: str = ""


@dataclass(frozen=True, slots=True)
class SealStarted(DecidedAttemptEvent):
    """Commit what the agent left and see what the attempt changed."""


@dataclass(frozen=True, slots=True)
class ChecksStarted(DecidedAttemptEvent):
    head: str


@dataclass(frozen=True, slots=True)
class AttemptVerified(DecidedAttemptEvent):
    """Every condition of success holds on the feature's own branch; dependents may start from `head`."""

    head: str
    tree: str


@dataclass(frozen=True, slots=True)
class MergeStarted(DecidedAttemptEvent):
    """Merge head into onto (tip of the integration branch), in memory."""

    head: str
    onto: str


@dataclass(frozen=True, slots=True)
class MergeChecksStarted(DecidedAttemptEvent):
    """Run the checks on the merged tree, in the integration worktree. also: features that are in the branch already and
    have checks of their own, which must still pass."""

    commit: str
    also: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PublishStarted(DecidedAttemptEvent):
    """Move the integration branch from onto to commit (compare and swap)."""

    commit: str
    onto: str


@dataclass(frozen=True, slots=True)
class AttemptStopping(DecidedAttemptEvent):
    """End what the attempt has in flight; it will end with `outcome`."""

    outcome: Outcome
    why: str


@dataclass(frozen=True, slots=True)
class AttemptParked(DecidedAttemptEvent):
    """The attempt stands still with all its work and its session, for a later engine to go on with."""

    why: str


@dataclass(frozen=True, slots=True)
class AttemptEnded(DecidedAttemptEvent):
    """retry: another attempt follows, not before retry_at (Unix seconds); else the feature has ended with this outcome."""

    outcome: Outcome
    why: str = ""
    retry: bool = False
    retry_at: float = 0.0


# ── a feature: observed ──────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class WorktreePrepared(AttemptEvent):
    """base: commit id the attempt starts from. path: absolute. port: first of the attempt's ports."""

    base: str
    branch: str
    path: str
    port: int = 0
    duration_s: float = 0.0


@dataclass(frozen=True, slots=True)
class WorktreeFailed(AttemptEvent):
    """kind `conflict`: the dependencies' heads do not merge; `setup`: a setup command failed; `git`: everything else."""

    kind: Literal["conflict", "setup", "git"]
    why: str
    duration_s: float = 0.0


@dataclass(frozen=True, slots=True)
class InvocationProgressed(AttemptEvent):
    """Chatty: what the agent is doing, at most about one a second. Figures are so far, for display only, never for money."""

    invocation: int
    action: str = ""
    turns: int = 0
    tokens: Tokens = Tokens()
    cost_usd: float = 0.0


@dataclass(frozen=True, slots=True)
class InvocationFinished(AttemptEvent):
    """cost_usd: of this invocation alone, US dollars; cost_estimated: derived, not reported by the agent.
    said: the agent's last words, bounded and redacted. resets_at: when a usage limit ends, Unix seconds.
    session_lost: the session to be resumed is unknown to the agent."""

    invocation: int
    end: InvocationEnd
    why: str = ""
    said: str = ""
    cost_usd: float = 0.0
    cost_estimated: bool = False
    tokens: Tokens = Tokens()
    turns: int = 0
    denials: tuple[str, ...] = ()
    resets_at: float | None = None
    exit_code: int | None = None
    duration_s: float = 0.0
    session: str = ""
    session_lost: bool = False
    model: str = ""
    artifact: str = ""
    oom: bool = False
    """The system ended it for want of memory."""


@dataclass(frozen=True, slots=True)
class WorkSaved(AttemptEvent):
    """Chatty: the state of the worktree was saved under the attempt's private ref, as `commit`, while the agent works."""

    commit: str


@dataclass(frozen=True, slots=True)
class WorkSealed(AttemptEvent):
    """What the attempt amounts to, from git alone. changed: number of files against the base. committed: we committed
    what the agent had left. out_of_scope: changed paths outside `touches` (first 20). error: git failed. beyond: the
    worktree holds files that are not part of the commit (ignored by git, or a repository of their own), on which checks
    that pass there may rest."""

    head: str
    tree: str
    changed: int = 0
    insertions: int = 0
    deletions: int = 0
    commits: int = 0
    committed: bool = False
    out_of_scope: tuple[str, ...] = ()
    error: str = ""
    duration_s: float = 0.0
    beyond: bool = False


@dataclass(frozen=True, slots=True)
class ChecksFinished(AttemptEvent):
    ok: bool
    checks: tuple[CheckResult, ...] = ()
    error: str = ""
    duration_s: float = 0.0


@dataclass(frozen=True, slots=True)
class MergeFinished(AttemptEvent):
    """kind: `merged` (commit and tree given) · `conflict` (paths given) · `present` (already in the branch, found by
    its trailer; commit is the branch's tip) · `moved` (somebody else moved the branch; commit is its tip) · `error`."""

    kind: Literal["merged", "conflict", "present", "moved", "error"]
    commit: str = ""
    tree: str = ""
    paths: tuple[str, ...] = ()
    why: str = ""
    duration_s: float = 0.0


@dataclass(frozen=True, slots=True)
class MergeChecksFinished(AttemptEvent):
    ok: bool
    checks: tuple[CheckResult, ...] = ()
    error: str = ""
    duration_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Published(AttemptEvent):
    """The integration branch's tip is now `commit`. ok False: it could not be moved; commit is then where it stands,
    if somebody else moved it, and empty otherwise."""

    ok: bool
    commit: str = ""
    why: str = ""


@dataclass(frozen=True, slots=True)
class EffectLost(AttemptEvent):
    """A performer died without an answer (a defect or a lost machine); whether to try again is for the rules to say.
    blameless: the machine had no room for it; that counts for nothing."""

    effect: str
    why: str
    blameless: bool = False


CHATTY: frozenset[type[Event]] = frozenset({InvocationProgressed, WorkSaved})
"""Kinds that may be lost on power failure and are written in batches."""
