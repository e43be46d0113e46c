"""What is to be run, as a value, and what follows from its settings alone.

Invariant: nothing here reads or writes anything.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from orchestrate.agents.drive import Patience
from orchestrate.agents.settings import AgentSettings, ClaudeSettings, ScriptedSettings
from orchestrate.core.plan import Plan
from orchestrate.git.repository import Base, Repository
from orchestrate.spec.load import Loaded


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be run. resume: the run to go on with; plan and base then come from its log. unpause: whoever asks for
    it wants it to go on also if somebody has paused it; by: who that is."""

    loaded: Loaded
    repository: Repository
    plan: Plan
    base: Base
    inputs: str
    environ: Mapping[str, str]
    resume: str = ""
    unpause: bool = False
    by: str = ""
    flags: Mapping[str, object] = field(default_factory=dict)
    """Settings given on the command line, by setting name."""


def agent_settings(loaded: Loaded, repository: Repository, artifacts: Path) -> AgentSettings:
    """The agents' slice of the settings."""
    s = loaded.settings
    return AgentSettings(
        worktrees=worktrees_dir(loaded, repository),
        artifacts=artifacts,
        claude=ClaudeSettings(
            command=(s.claude.command,) if "/" in s.claude.command else tuple(shlex.split(s.claude.command)),
            permission_mode=s.claude.permission_mode,
            allowed_tools=s.claude.allowed_tools,
            disallowed_tools=s.claude.disallowed_tools,
            fallback_model=s.claude.fallback_model,
            pass_env=s.claude.pass_env,
            args=s.claude.args,
        ),
        scripted=ScriptedSettings(s.scripted.script),
        template=Path(s.prompts.template) if s.prompts.template else None,
        max_turns=s.limits.max_turns,
        patience=Patience(stall_s=s.limits.stall_seconds),
        namespaces=s.containment.pid_namespace == "auto",
    )


def worktrees_dir(loaded: Loaded, repository: Repository) -> Path:
    """Where the worktrees go, absolute."""
    given = loaded.settings.worktrees_dir
    return (repository.toplevel / Path(given).expanduser()).resolve() if given else repository.default_worktrees_dir
