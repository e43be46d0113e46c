"""Settings: the validated outcome of all layers, as plain values. Durations are seconds, money is US dollars.

Invariant: the defaults below are the only ones; models, schema and reference take theirs from here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

from orchestrate.core.names import DEFAULT_PREFIX
from orchestrate.core.plan import Command, Schedule, StartOn

KNOWN_AGENTS = ("claude", "scripted")
"""Agents that a feature may name."""

PermissionMode = Literal["default", "acceptEdits", "plan", "dontAsk", "auto", "bypassPermissions"]
"""What Claude Code's own `--permission-mode` accepts."""

PERMISSION_MODES: tuple[str, ...] = get_args(PermissionMode)


@dataclass(frozen=True, slots=True)
class Limits:
    """max_cost_usd: of the whole run; feature_max_cost_usd: of each feature that names none; None: no limit."""

    max_cost_usd: float | None = None
    feature_max_cost_usd: float | None = None
    max_turns: int | None = None
    stall_seconds: float = 330.0


@dataclass(frozen=True, slots=True)
class Prompts:
    """context_file: as written; template: absolute path of the user's own template, or empty."""

    context_file: str = ""
    quality_rules: tuple[str, ...] = ()
    template: str = ""


@dataclass(frozen=True, slots=True)
class Ports:
    """Every worktree gets `count` ports of its own, counted up from `first`."""

    first: int = 41_000
    count: int = 10


@dataclass(frozen=True, slots=True)
class Claude:
    """How Claude Code is started. command: a name on PATH or a path. pass_env: names of further variables it may see."""

    command: str = "claude"
    permission_mode: PermissionMode = "acceptEdits"
    allowed_tools: tuple[str, ...] = ()
    disallowed_tools: tuple[str, ...] = ()
    fallback_model: str = ""
    pass_env: tuple[str, ...] = ()
    args: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Scripted:
    """script: absolute path of what the scripted agent plays, or empty."""

    script: str = ""


@dataclass(frozen=True, slots=True)
class Containment:
    """pid_namespace: `auto`, where the system lets us, every command has a process namespace of its own; `off`, none has."""

    pid_namespace: Literal["auto", "off"] = "auto"


@dataclass(frozen=True, slots=True)
class Checkpoints:
    """every_seconds: how often the work of a running agent is saved; 0: only when it ends."""

    every_seconds: float = 120.0


@dataclass(frozen=True, slots=True)
class Disk:
    """low_mb: free space, in units of 2**20 bytes, below which a run stands still. 0: only a disk that is really full."""

    low_mb: int = 512


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything about a project except its features. base_branch: empty means the repository's default branch.

    worktrees_dir: empty means a place of our own outside the checkout. env: pairs, in the order of the files.
    """

    base_branch: str = ""
    max_parallel: int = 3
    timeout_seconds: float = 1800.0
    worktrees_dir: str = ""
    branch_prefix: str = DEFAULT_PREFIX
    start_on: StartOn = "verified"
    schedule: Schedule = "ready"
    setup: tuple[Command, ...] = ()
    verify: tuple[Command, ...] = ()
    copy: tuple[str, ...] = ()
    agent: str = "claude"
    model: str = ""
    env: tuple[tuple[str, str], ...] = ()
    max_attempts: int = 2
    max_reworks: int = 2
    retry_backoff_seconds: float = 10.0
    limits: Limits = field(default_factory=Limits)
    prompts: Prompts = field(default_factory=Prompts)
    ports: Ports = field(default_factory=Ports)
    claude: Claude = field(default_factory=Claude)
    scripted: Scripted = field(default_factory=Scripted)
    containment: Containment = field(default_factory=Containment)
    checkpoints: Checkpoints = field(default_factory=Checkpoints)
    disk: Disk = field(default_factory=Disk)
