"""What running the user's commands needs to know.

Invariant: paths are absolute; nothing here is read from the environment later.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from orchestrate.core.plan import Command


@dataclass(frozen=True, slots=True)
class VerifySettings:
    """artifacts: directory of one run's files; output lies in `<artifacts>/<feature>/<attempt>/`. setup: commands of the
    project, for the integration worktree. environ: the variables that this program was started with; commands get a
    chosen few of them. env: variables of the project, for every command. namespaces: give each
    command a PID namespace where possible."""

    artifacts: Path
    setup: tuple[Command, ...] = ()
    environ: Mapping[str, str] = field(default_factory=dict)
    env: tuple[tuple[str, str], ...] = ()
    namespaces: bool = True
