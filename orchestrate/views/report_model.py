"""The report of a run as values: what render_json writes and schemas/report.schema.json describes, field by field.

Invariant: `orchestrate/report/v1` only grows: fields are added, none is renamed, removed or given another meaning.
Times are UTC in ISO 8601, durations seconds, money US dollars.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NewType

from orchestrate.core.events import HoldCause, InvocationEnd, Outcome, Phase
from orchestrate.core.plan import Schedule, StartOn
from orchestrate.views.attempts import Stage
from orchestrate.views.run import RunStatus, Status

Moment = NewType("Moment", str)
"""ISO 8601 in UTC, such as `2026-11-21T11:14:15.250Z`."""

SchemaId = Literal["orchestrate/report/v1"]


@dataclass(frozen=True, slots=True)
class TokenCount:
    """Tokens by kind, as the agent's service counts them."""

    input: int
    output: int
    cache_read: int
    cache_write: int
    total: int


@dataclass(frozen=True, slots=True)
class Spent:
    """What something has cost. estimated_usd: the part of cost_usd that was derived and not reported by the agent."""

    cost_usd: float
    estimated_usd: float
    tokens: TokenCount
    turns: int
    invocations: int


@dataclass(frozen=True, slots=True)
class SpentOn:
    """One line of a breakdown of the cost. key: the model or the phase."""

    key: str
    spent: Spent


@dataclass(frozen=True, slots=True)
class EngineReport:
    """One engine that drove the run; more than one: it was restarted or resumed."""

    at: Moment
    pid: int
    host: str
    version: str


@dataclass(frozen=True, slots=True)
class RunReport:
    """The run itself. base, tip: commit ids where it started and where its integration branch stands. broken_off: it
    has not ended, and no engine is at it."""

    id: str
    project: str
    status: RunStatus
    why: str
    started_at: Moment
    ended_at: Moment | None
    base: str
    base_branch: str
    integration_branch: str
    tip: str
    version: str
    engines: tuple[EngineReport, ...]
    broken_off: bool


@dataclass(frozen=True, slots=True)
class Totals:
    """Counts of features. unsuccessful: ended otherwise than integrated; unfinished: not ended, or never started.
    saves: how often the state of a worktree was saved while its agent worked.
    lost_invocations: agents that died with their engine; what they cost is unknown and in no figure here.
    live_*: what agents at work say that they have used so far; not part of `spent`."""

    features: int
    integrated: int
    unsuccessful: int
    unfinished: int
    by_status: dict[str, int]
    attempts: int
    reworks: int
    lost_invocations: int
    spent: Spent
    live_cost_usd: float
    live_tokens: TokenCount
    saves: int


@dataclass(frozen=True, slots=True)
class TimeReport:
    """wall_s: from start to end by the clock; down_s: part of it without an engine; active_s: the rest.
    sequential_s: sum of all work, what one worker would have needed. bound_s: what no order could have beaten with
    `parallel` workers: max(longest chain of work, sequential_s ÷ parallel). speedup: sequential_s ÷ active_s.
    parallel: slots of the run or, where they are unknown, the most that were ever in use (peak). held_s: part of active_s
    in which the run was paused, by a person or for want of room."""

    wall_s: float
    down_s: float
    active_s: float
    sequential_s: float
    bound_s: float
    speedup: float
    parallel: int
    peak: int
    held_s: float


@dataclass(frozen=True, slots=True)
class LinkReport:
    """One feature of the critical path as it happened; seconds since the run started. due_s: its last dependency was
    there. start_s: it was started. ready_s: the next feature of the path could start from it, or it ended."""

    feature: str
    due_s: float
    start_s: float
    ready_s: float
    waited_s: float


@dataclass(frozen=True, slots=True)
class PlanReport:
    """What was to be done. critical_path: as estimated beforehand."""

    start_on: StartOn
    schedule: Schedule
    waves: tuple[tuple[str, ...], ...]
    critical_path: tuple[str, ...]
    critical_s: float
    work_s: float


@dataclass(frozen=True, slots=True)
class EstimateReport:
    """What a feature was expected to take. source: where the figures come from."""

    tokens: int
    cost_usd: float
    duration_s: float
    source: str


@dataclass(frozen=True, slots=True)
class CheckReport:
    """One check, run once. tail: last part of its output. artifact: file with more of it."""

    name: str
    command: str
    ok: bool
    exit_code: int | None
    timed_out: bool
    duration_s: float
    tail: str
    artifact: str


@dataclass(frozen=True, slots=True)
class RoundReport:
    """All checks, run once. where: in the feature's own worktree, or on the merged tree. error: why they could not run."""

    at: Moment
    where: Literal["feature", "merged"]
    ok: bool
    error: str
    duration_s: float
    checks: tuple[CheckReport, ...]


@dataclass(frozen=True, slots=True)
class InvocationReport:
    """One agent process. end: `running` while it does, `lost` when it died with its engine (why says so).
    said: the agent's last words. artifact: its transcript. oom: the system ended it for want of memory."""

    number: int
    phase: Phase
    session: str
    resumed: bool
    started_at: Moment
    ended_at: Moment | None
    end: InvocationEnd | Literal["running", "lost"]
    why: str
    said: str
    exit_code: int | None
    model: str
    spent: Spent
    denials: tuple[str, ...]
    duration_s: float
    artifact: str
    oom: bool


@dataclass(frozen=True, slots=True)
class ChangeReport:
    """What an attempt amounts to against its base. committed_for_agent: we committed what the agent had left."""

    files: int
    insertions: int
    deletions: int
    commits: int
    committed_for_agent: bool
    out_of_scope: tuple[str, ...]
    error: str


@dataclass(frozen=True, slots=True)
class SpanReport:
    """A piece of time in one stage; seconds since the run started. end_s is null while it lasts."""

    stage: Stage
    start_s: float
    end_s: float | None


@dataclass(frozen=True, slots=True)
class AttemptReport:
    """One try at a feature. base: commit it started from; head: its last commit; merged: its merge commit in the
    integration branch. outcome is null while it goes on. durations_s: by stage. saves: how often its worktree was saved while
    its agent worked; saved: commit of the newest state, empty if none."""

    number: int
    branch: str
    worktree: str
    base: str
    head: str
    merged: str
    outcome: Outcome | None
    why: str
    retried: bool
    started_at: Moment
    ended_at: Moment | None
    durations_s: dict[str, float]
    busy_s: float
    reworks: int
    spent: Spent
    denials: tuple[str, ...]
    change: ChangeReport | None
    conflicts: tuple[str, ...]
    problems: tuple[str, ...]
    rounds: tuple[RoundReport, ...]
    invocations: tuple[InvocationReport, ...]
    artifacts: tuple[str, ...]
    spans: tuple[SpanReport, ...]
    saves: int
    saved: str


@dataclass(frozen=True, slots=True)
class FeatureReport:
    """One feature, also when it never started. outcome: of its last attempt that ended. branch, base, head, session,
    said: of its last attempt. wave: 1 is the first. tries: attempts that count against max_attempts. reason: why in one
    line, with what a failed command said last and what ends a conflict. conflicts_with: integrated features that may be
    the other side of its conflict. cut_off: it was at work when its engine died. live_cost_usd: as in the totals."""

    id: str
    name: str
    description: str
    wave: int
    depends_on: tuple[str, ...]
    tags: tuple[str, ...]
    priority: int
    agent: str
    model: str
    estimate: EstimateReport
    status: Status
    success: bool
    outcome: Outcome | None
    why: str
    tries: int
    max_attempts: int
    reworks: int
    started_at: Moment | None
    ended_at: Moment | None
    busy_s: float
    spent: Spent
    branch: str
    base: str
    head: str
    merged: str
    session: str
    said: str
    attempts: tuple[AttemptReport, ...]
    reason: str
    conflicts_with: tuple[str, ...]
    cut_off: bool
    live_cost_usd: float


@dataclass(frozen=True, slots=True)
class ErrorReport:
    """Why a feature was not integrated."""

    feature: str
    status: Status
    error: str


@dataclass(frozen=True, slots=True)
class WarningReport:
    """Something a person should know. feature: empty for the run itself."""

    at: Moment
    feature: str
    message: str


@dataclass(frozen=True, slots=True)
class ControlReport:
    """What somebody asked of the run. by: who, or the signal that it was. features: empty for the whole run. control: its
    number in the store, 0 for a signal."""

    at: Moment
    by: str
    what: Literal["pause", "resume", "cancel", "retry", "answer", "stop"]
    features: tuple[str, ...]
    words: str
    control: int


@dataclass(frozen=True, slots=True)
class PauseReport:
    """A time in which nothing new was started. until is null while it lasts. now: running agents were ended too."""

    cause: HoldCause
    by: str
    since: Moment
    until: Moment | None
    ended_by: str
    why: str
    now: bool


@dataclass(frozen=True, slots=True)
class KeptReport:
    """Work that is in no integration branch and can be brought back. head: its newest commit that the log knows of, empty if
    there is none. ref: where its last state lies, also after a clean-up. command: what brings it back into a branch."""

    feature: str
    attempt: int
    outcome: Outcome | None
    branch: str
    head: str
    ref: str
    command: str


@dataclass(frozen=True, slots=True)
class NextStep:
    """What a person can do now. command: ready to paste."""

    command: str
    why: str


@dataclass(frozen=True, slots=True)
class Report:
    """A whole run. branches: all that were made, the integration branch first. costs: dearest first."""

    schema: SchemaId
    generated_at: Moment
    run: RunReport
    totals: Totals
    time: TimeReport
    plan: PlanReport
    critical_path: tuple[LinkReport, ...]
    cost_by_model: tuple[SpentOn, ...]
    cost_by_phase: tuple[SpentOn, ...]
    features: tuple[FeatureReport, ...]
    branches: tuple[str, ...]
    errors: tuple[ErrorReport, ...]
    warnings: tuple[WarningReport, ...]
    next: tuple[NextStep, ...]
    controls: tuple[ControlReport, ...]
    pauses: tuple[PauseReport, ...]
    kept: tuple[KeptReport, ...]
