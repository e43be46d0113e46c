"""The slice of the settings that agents need. Frozen values; what they mean is in the configuration reference."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from .drive import Patience


@dataclass(frozen=True, slots=True)
class ClaudeSettings:
    """command: the program, and arguments that belong to it. pass_env: names of further variables it may see."""

    command: tuple[str, ...] = ("claude",)
    permission_mode: str = "acceptEdits"
    allowed_tools: tuple[str, ...] = ()
    disallowed_tools: tuple[str, ...] = ()
    fallback_model: str = ""
    pass_env: tuple[str, ...] = ()
    args: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ScriptedSettings:
    """script: absolute path of the script; empty: the scripted agent is not set up."""

    script: str = ""
    pass_env: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AgentSettings:
    """worktrees, artifacts: absolute directories. template: the user's prompt template, a file or a directory.

    max_turns: of one invocation, None: no limit of ours. namespaces: give each agent a PID namespace where possible.
    """

    worktrees: Path
    artifacts: Path
    claude: ClaudeSettings = field(default_factory=ClaudeSettings)
    scripted: ScriptedSettings = field(default_factory=ScriptedSettings)
    template: Path | None = None
    max_turns: int | None = None
    patience: Patience = field(default_factory=Patience)
    namespaces: bool = True
