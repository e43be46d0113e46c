"""What reconciliation works on, and what it answers: the run as the log has it, the repository as it is, the differences."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from orchestrate.core.names import AttemptKey, integration_branch
from orchestrate.errors import OrchestrateError

from .changes import Sealed
from .integrate import IntegrationBranch
from .link import Link, find_link
from .repository import Repository
from .restore import RunSetup
from .run import Git
from .worktrees import Worktrees


@dataclass(frozen=True, slots=True)
class Standing:
    """One attempt that the engine goes on with, as the log has it. base: commit id. head: the commit that was sealed last,
    else empty. name, touches: the feature's. works: it needs its worktree; else only its commit is still to be integrated.
    awaits_checks: what was sealed is to be checked next."""

    key: AttemptKey
    base: str
    head: str = ""
    name: str = ""
    touches: tuple[str, ...] = ()
    works: bool = True
    awaits_checks: bool = False


@dataclass(frozen=True, slots=True)
class Record:
    """What the log says of the run. base: commit id. head: the integration branch's last known tip; base, when nothing is
    integrated yet."""

    run: str
    base: str
    head: str
    standing: tuple[Standing, ...] = ()
    attempts: tuple[AttemptKey, ...] = ()
    """Every attempt that the run has made."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A difference, and what became of it. rule: its number in RULES. then `anew`: nothing that the attempt could go on from
    is left, it is to begin again; `resealed`: `sealed` holds what the attempt amounts to now. is_open: it was left as it is,
    for a person to settle."""

    rule: str
    words: str
    feature: str = ""
    then: Literal["go on", "anew", "resealed"] = "go on"
    sealed: Sealed | None = None
    is_open: bool = False


class CannotGoOn(OrchestrateError):
    """The log and the repository differ in a way that only a person can settle. Nothing was changed."""


@dataclass(frozen=True, slots=True)
class Scene:
    """What the rules work on."""

    worktrees: Worktrees
    record: Record
    run_setup: RunSetup

    @property
    def repository(self) -> Repository:
        return self.worktrees.repository

    @property
    def git(self) -> Git:
        return self.worktrees.repository.git

    @property
    def common(self) -> Path:
        return self.worktrees.repository.common_dir

    @property
    def integration(self) -> IntegrationBranch:
        return IntegrationBranch(self.repository, integration_branch(self.record.run, self.prefix))

    @property
    def prefix(self) -> str:
        return self.worktrees.settings.branch_prefix

    @property
    def run_dir(self) -> Path:
        """Where the run's worktrees lie."""
        return self.worktrees.settings.worktrees_dir / self.record.run

    def link_of(self, a: Standing) -> Link | None:
        return find_link(self.common, self.worktrees.path_of(a.key))
