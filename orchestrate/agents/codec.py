"""The seam between the driver and an agent: what is asked of it, what it says, how it ended. Pure values.

Invariant: nothing here knows a particular agent; a codec turns its words into these and its end into an Ending.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from orchestrate.core.events import InvocationEnd, Tokens

from .transcript import (
    AgentEvent,
    Transcript,
)

EndedByUs = Literal["", "interrupt", "timeout", "stall"]
"""Why we ended the process; empty: we did not."""

BY_US: Mapping[EndedByUs, tuple[InvocationEnd, str]] = {
    "interrupt": ("interrupted", "ended because the run or the feature was stopped"),
    "timeout": ("timed_out", "ended because the feature's time was used up"),
    "stall": ("stalled", "ended because it had been silent for too long"),
}


@dataclass(frozen=True, slots=True)
class AgentRequest:
    """One invocation, as a value. Paths are text: codecs do no I/O.

    session: id of the conversation, a UUID; resume: go on with it rather than begin it. max_turns, max_cost_usd: the
    agent's own limits, None: none. command: the program and its leading arguments. environment: all that the process
    may see (the whitelist's outcome, the feature's variables). args: extra arguments of the user, passed on as they are.
    """

    prompt: str
    session: str
    resume: bool
    cwd: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    feature: str
    attempt: int
    invocation: int
    model: str = ""
    fallback_model: str = ""
    max_turns: int | None = None
    max_cost_usd: float | None = None
    permission_mode: str = ""
    allowed_tools: tuple[str, ...] = ()
    disallowed_tools: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    append_system_prompt: str = ""
    is_root: bool = False


@dataclass(frozen=True, slots=True)
class SpawnPlan:
    """How to start it. env: what the request's environment does not say otherwise. stdin: written at once.

    keep_stdin_open: stdin stays open until the result, so that `interrupt` can be written to it.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    stdin: bytes = b""
    keep_stdin_open: bool = False
    interrupt: bytes = b""
    """What asks the agent to stop, written to stdin; empty: it knows no such thing."""


@dataclass(frozen=True, slots=True)
class ExitInfo:
    """How the process went. exit_code: negative is the signal's number; stderr_tail: its last words there."""

    exit_code: int
    stderr_tail: str = ""
    ended_by_us: EndedByUs = ""


@dataclass(frozen=True, slots=True)
class Ending:
    """How one invocation ended: everything that InvocationFinished carries, except where and how long."""

    end: InvocationEnd
    why: str = ""
    said: str = ""
    cost_usd: float = 0.0
    cost_estimated: bool = False
    tokens: Tokens = field(default_factory=Tokens)
    turns: int = 0
    denials: tuple[str, ...] = ()
    resets_at: float | None = None
    session: str = ""
    session_lost: bool = False
    model: str = ""


class Codec(Protocol):
    """The pure functions that speak to one agent."""

    @property
    def name(self) -> str: ...

    def spawn_plan(self, request: AgentRequest) -> SpawnPlan: ...

    def decode(self, line: bytes) -> tuple[AgentEvent, ...]:
        """One line of stdout → what it says. Never raises, whatever the bytes; () for what means nothing to us."""
        ...

    def classify(self, transcript: Transcript, exit_info: ExitInfo) -> Ending: ...
