"""Brief: what an agent is told, as a value. A template may use these fields and nothing else.

Invariant: everything in it is text or numbers, already resolved; the brief of the same effect is always the same.
"""

from __future__ import annotations

from dataclasses import dataclass

from .events import Phase


@dataclass(frozen=True, slots=True)
class Needed:
    """A feature that this one builds on; its work is already in the directory. summary: what was said of it."""

    id: str
    name: str
    creates: tuple[str, ...] = ()
    summary: str = ""


@dataclass(frozen=True, slots=True)
class BriefCheck:
    """A command that must pass before the work counts."""

    name: str
    command: str


@dataclass(frozen=True, slots=True)
class Brief:
    """One invocation's brief.

    context, rules: of the project, the same for every feature. touches: globs of the files that may change; empty: any.
    resumed: the conversation goes on, so that the task is known already. feedback: what a rework must mend.
    earlier_failure: why the attempt before this one failed. ports: free for the feature's own servers.
    """

    id: str
    name: str
    prompt: str
    phase: Phase = "edit"
    resumed: bool = False
    project: str = ""
    description: str = ""
    context: str = ""
    rules: tuple[str, ...] = ()
    creates: tuple[str, ...] = ()
    uses: tuple[str, ...] = ()
    dependencies: tuple[Needed, ...] = ()
    touches: tuple[str, ...] = ()
    checks: tuple[BriefCheck, ...] = ()
    expects_changes: bool = True
    feedback: str = ""
    attempt: int = 1
    earlier_failure: str = ""
    ports: tuple[int, ...] = ()
