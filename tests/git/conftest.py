"""A repository with a run's performer, and short ways to have effects performed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from orchestrate.core import events as ev
from orchestrate.core.effects import AnyEffect, KeepWork, MergeWork, PrepareWorktree, PublishMerge, SealWork
from orchestrate.core.names import AttemptKey, attempt_branch, checkpoint_ref, integration_branch
from orchestrate.core.plan import Feature
from orchestrate.git.perform import GitPerformer
from orchestrate.git.repository import Repository, open_repository
from orchestrate.git.settings import GitSettings
from tests.support.repos import Repo, assert_untouched, frozen_environ

RUN = "20261121-111415-7f3a"
INTEGRATION = integration_branch(RUN)


class SteadyClock:
    """Counts seconds by being asked."""

    def __init__(self) -> None:
        self._now = 1_700_000_000.0

    def now(self) -> float:
        self._now += 1.0
        return self._now


@dataclass
class World:
    """repo: the user's. setup_runs: worktrees in which setup was run; setup_answer: what it says;
    setup_files: what it leaves behind."""

    repo: Repo
    repository: Repository
    settings: GitSettings
    features: dict[str, Feature] = field(default_factory=dict)
    bases: dict[AttemptKey, str] = field(default_factory=dict)
    setup_runs: list[tuple[AttemptKey, Path]] = field(default_factory=list)
    setup_answer: str = ""
    setup_files: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.performer = self.restarted()

    def restarted(self, pause: Callable[[float], Awaitable[None]] = asyncio.sleep) -> GitPerformer:
        """A performer that knows nothing but what is on the disk and in the log."""

        async def run_setup(key: AttemptKey, path: Path) -> str:
            self.setup_runs.append((key, path))
            self.repo.write(self.setup_files, path)
            return self.setup_answer

        self.performer = GitPerformer(
            self.repository,
            self.settings,
            self.features,
            clock=SteadyClock(),
            base_of=lambda key: self.bases.get(key, ""),
            run_setup=run_setup,
            pause=pause,
        )
        return self.performer

    def key(self, fid: str, attempt: int = 1) -> AttemptKey:
        self.features.setdefault(fid, Feature(id=fid, name=f"The {fid}"))
        return AttemptKey(RUN, fid, attempt)

    def path(self, fid: str, attempt: int = 1) -> Path:
        return self.performer.path_of(self.key(fid, attempt))

    def branch(self, fid: str, attempt: int = 1) -> str:
        return attempt_branch(self.key(fid, attempt))

    def private(self, fid: str, attempt: int = 1) -> str:
        return self.repo.tip(checkpoint_ref(self.key(fid, attempt)))

    async def events_of(self, effect: AnyEffect) -> list[ev.Event]:
        seen: list[ev.Event] = []
        await self.performer.perform(effect, seen.append)
        return seen

    async def prepare(self, fid: str, *parents: str, attempt: int = 1) -> ev.WorktreePrepared:
        prepared = await self.try_prepare(fid, *parents, attempt=attempt)
        assert isinstance(prepared, ev.WorktreePrepared), prepared
        return prepared

    async def try_prepare(self, fid: str, *parents: str, attempt: int = 1) -> ev.WorktreePrepared | ev.WorktreeFailed:
        key = self.key(fid, attempt)
        effect = PrepareWorktree(f"{RUN}.{fid}.{attempt}.1", key, parents or (self.repo.head(),))
        answer = (await self.events_of(effect))[-1]
        assert isinstance(answer, ev.WorktreePrepared | ev.WorktreeFailed)
        if isinstance(answer, ev.WorktreePrepared):
            self.bases[key] = answer.base
        return answer

    async def seal(self, fid: str, attempt: int = 1) -> ev.WorkSealed:
        return (await self.seal_events(fid, attempt))[-1]

    async def seal_events(self, fid: str, attempt: int = 1) -> list[ev.Event]:
        return await self.events_of(SealWork(f"{RUN}.{fid}.{attempt}.2", self.key(fid, attempt)))

    async def merge(self, fid: str, head: str, onto: str) -> ev.MergeFinished:
        return (await self.events_of(MergeWork(f"{RUN}.{fid}.1.3", self.key(fid), head, onto)))[-1]

    async def publish(self, fid: str, commit: str, onto: str) -> ev.Published:
        return (await self.publish_events(fid, commit, onto))[-1]

    async def publish_events(self, fid: str, commit: str, onto: str) -> list[ev.Event]:
        return await self.events_of(PublishMerge(f"{RUN}.{fid}.1.4", self.key(fid), commit, onto))

    async def keep(self, fid: str, attempt: int = 1) -> list[ev.Event]:
        return await self.events_of(KeepWork(f"{RUN}.{fid}.{attempt}.5", self.key(fid, attempt)))

    async def finished(self, fid: str, files: Mapping[str, str], *parents: str) -> str:
        """A feature that an agent worked on and left uncommitted: its sealed head."""
        await self.prepare(fid, *parents)
        self.repo.write(files, self.path(fid))
        sealed = await self.seal(fid)
        assert not sealed.error, sealed.error
        return sealed.head

    async def integrated(self, fid: str, head: str, onto: str) -> str:
        """The integration branch's new tip."""
        merged = await self.merge(fid, head, onto)
        assert merged.kind == "merged", merged
        assert (await self.publish(fid, merged.commit, onto)).ok
        return merged.commit


def build_world(repo: Repo, worktrees_dir: Path, *, copy: Sequence[str] = (), **variables: str) -> World:
    repository = open_repository(repo.path, environ=frozen_environ(**variables))
    return World(repo, repository, GitSettings(worktrees_dir=worktrees_dir, copy=tuple(copy)))


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    return Repo.make(tmp_path / "project")


@pytest.fixture
def world(repo: Repo, tmp_path: Path):
    """Whatever a test does through it, the user's repository must be as it was."""
    world = build_world(repo, tmp_path / "worktrees")
    with assert_untouched(repo):
        yield world
