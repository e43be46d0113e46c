"""What an agent says, as a few small values, and the fold of them that its end is judged by.

Invariant: memory is bounded whatever the agent prints, and no figure in it is negative, infinite or absurd.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from orchestrate.core.events import Tokens

from . import prices

SAID_LIMIT = 8_000
"""Characters kept of the agent's last words."""
DENIALS_LIMIT = 20
OPEN_LIMIT = 256
"""Tools, tasks and messages followed at the same time; an agent has a handful."""
WRITTEN_LIMIT = 128_000
"""Tokens that one message of a model can have at most: what is guessed from its length is not more."""
_NONE = Tokens()


@dataclass(frozen=True, slots=True)
class Init:
    """A turn begins. Comes again with every turn of a process."""

    session: str
    model: str
    version: str
    cwd: str


@dataclass(frozen=True, slots=True)
class Said:
    text: str
    model: str = ""


@dataclass(frozen=True, slots=True)
class ToolStarted:
    """summary: the tool's main argument on one line, bounded."""

    id: str
    name: str
    summary: str


@dataclass(frozen=True, slots=True)
class ToolEnded:
    id: str


@dataclass(frozen=True, slots=True)
class TaskChanged:
    """Work in the background of the agent began or ended."""

    id: str
    running: bool


@dataclass(frozen=True, slots=True)
class Retrying:
    """The agent waits before it asks its service again. delay_s in seconds; status: HTTP status, 0 if none."""

    delay_s: float
    status: int


@dataclass(frozen=True, slots=True)
class RateLimit:
    """status: allowed, allowed_warning or rejected. resets_at: Unix seconds. utilization: 0 to 1."""

    status: str
    resets_at: float | None
    kind: str
    utilization: float | None


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one message of the model so far; a message comes in several events with the same id."""

    message: str
    model: str
    tokens: Tokens
    written: int
    """Characters the model wrote in this event: the reported output tokens are those of the message's start."""


@dataclass(frozen=True, slots=True)
class Denied:
    tool: str


@dataclass(frozen=True, slots=True)
class Failed:
    """The service refused or failed. category, code: the agent's own words for it."""

    category: str
    code: str
    status: int
    text: str


@dataclass(frozen=True, slots=True)
class ResultSeen:
    """A turn ended. cost_usd, tokens: of this turn alone if `fresh`, of the process so far if not."""

    session: str
    subtype: str
    is_error: bool
    text: str
    terminal_reason: str
    stop_reason: str
    status: int
    code: str
    turns: int
    cost_usd: float
    tokens: Tokens
    fresh: bool
    denials: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()


AgentEvent = (
    Init | Said | ToolStarted | ToolEnded | TaskChanged | Retrying | RateLimit | Usage | Denied | Failed | ResultSeen
)


@dataclass(slots=True)
class Transcript:
    """Fold of everything an agent said. Mutable: an agent says thousands of things."""

    session: str = ""
    model: str = ""
    version: str = ""
    cwd: str = ""
    events: int = 0
    said: str = ""
    action: str = ""
    """What it does now, on one line, for people."""
    tools: dict[str, str] = field(default_factory=dict)
    """Names of the tools under way, by id."""
    tasks: set[str] = field(default_factory=set)
    denials: list[str] = field(default_factory=list)
    retries: int = 0
    wait_s: float = 0.0
    """What the agent said it would wait; 0 once it has said anything else."""
    limit: RateLimit | None = None
    """The last rejection by a usage limit."""
    failed: Failed | None = None
    result: ResultSeen | None = None
    """The last one counts."""
    messages: int = 0
    turns: int = 0
    _fresh_cost: float = 0.0
    _fresh_tokens: Tokens = _NONE
    _total_cost: float = 0.0
    _total_tokens: Tokens = _NONE
    _open: dict[str, Usage] = field(default_factory=dict)
    """Messages since the last result that may still go on, by id."""
    _closed_cost: float = 0.0
    _closed_tokens: Tokens = _NONE

    def add(self, event: AgentEvent) -> None:
        self.events += 1
        match event:
            case Usage():
                self._add_usage(event)
            case Said(text=text):
                self.wait_s = 0.0
                self.said = text[:SAID_LIMIT]
                self.model = event.model or self.model
                self.action = one_line(text) or self.action
            case ToolStarted():
                self.wait_s = 0.0
                if len(self.tools) < OPEN_LIMIT:
                    self.tools[event.id] = event.name
                summary = event.summary.replace(f"{self.cwd}/", "") if self.cwd else event.summary
                self.action = f"{event.name} {summary}".rstrip()
            case ToolEnded(id=id):
                self.wait_s = 0.0
                self.tools.pop(id, None)
            case Init():
                self.session, self.version, self.cwd = event.session, event.version, event.cwd
                self.model = self.model or event.model
            case Retrying():
                self.retries += 1
                self.wait_s = event.delay_s
                status = f" ({event.status})" if event.status else ""
                self.action = f"waits {event.delay_s:.0f} s to ask its service again{status}"
            case RateLimit(status="rejected"):
                self.limit = event
            case TaskChanged(running=True):
                if len(self.tasks) < OPEN_LIMIT:
                    self.tasks.add(event.id)
            case TaskChanged():
                self.tasks.discard(event.id)
            case Denied(tool=tool):
                if len(self.denials) < DENIALS_LIMIT:
                    self.denials.append(tool)
            case Failed():
                self.failed = event
            case ResultSeen():
                self._add_result(event)
            case RateLimit():
                pass

    def _add_usage(self, usage: Usage) -> None:
        before = self._open.get(usage.message)
        if before is None:
            self.messages += 1
            if len(self._open) >= OPEN_LIMIT:
                self._close(next(iter(self._open)))
        else:
            usage = Usage(usage.message, usage.model, usage.tokens, usage.written + before.written)
        self._open[usage.message] = usage

    def _close(self, message: str) -> None:
        usage = self._open.pop(message)
        tokens = _with_written(usage)
        self._closed_tokens += tokens
        self._closed_cost += prices.cost_usd(usage.model, tokens)

    def _add_result(self, result: ResultSeen) -> None:
        """A result of another conversation is something that a program printed, not the agent's word."""
        if self.session and result.session != self.session:
            return
        self.result = result
        self.turns += result.turns
        self.tools.clear()
        self.wait_s = 0.0
        for tool in result.denials:
            if tool not in self.denials and len(self.denials) < DENIALS_LIMIT:
                self.denials.append(tool)
        if result.fresh:
            self._fresh_cost += result.cost_usd
            self._fresh_tokens += result.tokens
        else:
            # A total only ever grows; one that shrinks is not believed.
            self._total_cost, self._total_tokens = max(self._total_cost, result.cost_usd), result.tokens
        if not result.cost_usd:
            return  # what was said is paid for, whatever the result counts (2.1.197: not an answer cut off): we estimate
        self._open.clear()
        self._closed_cost, self._closed_tokens = 0.0, _NONE

    @property
    def is_estimated(self) -> bool:
        """Whether part of the figures is ours: messages that no result has accounted for."""
        return bool(self._open) or self._closed_tokens.total > 0

    @property
    def cost_usd(self) -> float:
        """US dollars of this process so far: as reported, plus our estimate of what is not reported yet."""
        pending = sum(prices.cost_usd(u.model, _with_written(u)) for u in self._open.values())
        return self._fresh_cost + self._total_cost + self._closed_cost + pending

    @property
    def tokens(self) -> Tokens:
        so_far = self._fresh_tokens + self._total_tokens + self._closed_tokens
        for usage in self._open.values():
            so_far += _with_written(usage)
        return so_far


def _with_written(usage: Usage) -> Tokens:
    """Tokens of a message that is not accounted for: its output at four characters a token, if that is more."""
    t = usage.tokens
    return Tokens(t.input, max(t.output, min(usage.written // 4, WRITTEN_LIMIT)), t.cache_read, t.cache_write)


def one_line(text: str, limit: int = 120) -> str:
    """The first line that says something, bounded, without control characters."""
    for line in text[:4_000].splitlines():
        words = " ".join("".join(c if c.isprintable() else " " for c in line).split())
        if words:
            return words if len(words) <= limit else words[: limit - 1] + "…"
    return ""
