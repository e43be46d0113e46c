"""Does the git effects: prepare a worktree, seal, merge, publish, keep. The only module here that knows events.

Invariant: each effect answers with exactly one event (KeepWork with none), also when it is cancelled; git commands that
write are never cut off half-way, as they are short.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from orchestrate.core import events as ev
from orchestrate.core.effects import AnyEffect, KeepWork, MergeWork, PrepareWorktree, PublishMerge, SealWork
from orchestrate.core.names import AttemptKey, integration_branch
from orchestrate.core.plan import Feature
from orchestrate.errors import OrchestrateError
from orchestrate.ports import Clock, Emit, Performer

from .changes import SealRefused, Work, seal
from .checkpoint import LARGEST_BYTES, Kept, keep
from .integrate import IntegrationBranch, SetBack
from .leftovers import set_aside, variables_for
from .link import find_link, integration_key
from .merges import MergeConflict, join_commits
from .pace import Beside, Pace
from .portblocks import PortBlocks
from .reconcile import reconcile
from .repository import Repository
from .restore import RunSetup, rebuild_if_broken
from .scene import Finding, Record, Scene
from .settings import GitSettings
from .worktrees import Worktrees

T = TypeVar("T")

INTERRUPTED = "interrupted"

HELD_POLL_S = 1.0
"""How often to see whether the user has left the integration branch or put it back, seconds: a file, or a few, is read."""


STOPPED_WAITING = "stopped while it waited for the integration branch"


@dataclass(slots=True)
class _Said:
    """What a person was told last, so that it is told once."""

    words: str = ""


class GitPerformer:
    """Performs for one repository. features: of the run's plan, by id. base_of: commit id that an attempt started from, as
    the log has it. ports_held: blocks of attempts under way, from the log."""

    def __init__(
        self,
        repository: Repository,
        settings: GitSettings,
        features: Mapping[str, Feature],
        *,
        clock: Clock,
        base_of: Callable[[AttemptKey], str],
        run_setup: RunSetup,
        ports_held: Mapping[AttemptKey, int] | None = None,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._repository = repository
        self._settings = settings
        self._features = features
        self._clock = clock
        self._base_of = base_of
        self._run_setup = run_setup
        self._worktrees = Worktrees(repository, settings)
        self._ports = PortBlocks(settings.ports_first, settings.ports_count, ports_held)
        self._branches: dict[str, IntegrationBranch] = {}
        self._leftovers_said: set[tuple[str, ...]] = set()
        self._pause = pause
        self._saving: defaultdict[AttemptKey, asyncio.Lock] = defaultdict(asyncio.Lock)

    def port_of(self, key: AttemptKey) -> int:
        """First port of the attempt's block; 0 without one."""
        return self._ports.held_by(key)

    def path_of(self, key: AttemptKey) -> Path:
        """Where the attempt's worktree lies, or would."""
        return self._worktrees.path_of(key)

    def variables_of(self, key: AttemptKey) -> dict[str, str]:
        """What git needs to be told in the attempt's worktree, whoever runs it there."""
        link = find_link(self._repository.common_dir, self.path_of(key))
        return variables_for(link) if link else {}

    async def perform(self, effect: AnyEffect, emit: Emit) -> None:
        match effect:
            case PrepareWorktree():
                emit(await self._prepare(effect, emit))
            case SealWork():
                emit(await uncut(self._seal(effect, emit)))
            case MergeWork():
                emit(await self._merge(effect, emit))
            case PublishMerge():
                emit(await self._publish(effect, emit))
            case KeepWork():
                await uncut(self._keep(effect, emit))
            case _:
                raise TypeError(f"git does not perform {type(effect).__name__}")

    async def reconcile(self, record: Record) -> tuple[Finding, ...]:
        """See reconcile. Call before anything else, while nothing of the run is alive."""
        return await reconcile(Scene(self._worktrees, record, self._run_setup))

    async def integration_worktree(self, run: str, commit: str) -> Path:
        """The run's integration worktree with the files of `commit`, set up. Raises OrchestrateError."""
        path, is_new = await uncut(self._worktrees.check_out_merge(run, commit))
        if is_new:
            if why := await self._run_setup(integration_key(run), path):
                raise OrchestrateError(f"setup of the integration worktree failed: {why}")
            # Else the next checkout would clear it away as files that no commit holds.
            await uncut(self._set_aside(path))
            self._worktrees.finish_merge_checkout(path)
        return path

    # ── effects ──────────────────────────────────────────────────────────────────────────────────────────────────

    async def _prepare(self, effect: PrepareWorktree, emit: Emit) -> ev.WorktreePrepared | ev.WorktreeFailed:
        key, started = effect.key, self._clock.now()

        def failed(kind: str, why: str) -> ev.WorktreeFailed:
            at = self._clock.now()
            self._ports.release(key)
            return ev.WorktreeFailed(at, key.feature, key.attempt, kind, why, at - started)  # type: ignore[arg-type]

        try:
            base = await uncut(join_commits(self._repository.git, effect.parents))
            notices = await uncut(self._worktrees.add(key, base))
        except MergeConflict as conflict:
            return failed("conflict", str(conflict))
        except (OrchestrateError, OSError) as problem:
            return failed("git", str(problem))
        self._warn(key, notices, emit)
        port, path = self._ports.take(key), self._worktrees.path_of(key)
        try:
            why = await self._run_setup(key, path)
        except asyncio.CancelledError:
            why = INTERRUPTED
        try:
            if self._features[key.feature].setup:
                # Also after a failure: what is kept then needs no copy of it either.
                self._say_leftovers(key, await uncut(self._set_aside(path)), emit)
        except (OrchestrateError, OSError) as problem:
            why = why or f"what setup left cannot be told: {problem}"
        if why:
            return failed("setup", why)
        at = self._clock.now()
        branch = self._worktrees.branch_of(key)
        return ev.WorktreePrepared(at, key.feature, key.attempt, base, branch, str(path), port, at - started)

    async def _set_aside(self, path: Path) -> tuple[str, ...]:
        _, link = self._worktrees.inside(path)
        return await set_aside(self._repository, link)

    def _say_leftovers(self, key: AttemptKey, paths: tuple[str, ...], emit: Emit) -> None:
        """Once for all features that are set up alike."""
        if not paths or paths in self._leftovers_said:
            return
        self._leftovers_said.add(paths)
        shown = ", ".join(paths[:3]) + (f" and {len(paths) - 3} more" if len(paths) > 3 else "")
        words = f"setup leaves {shown}, which git does not ignore: kept out of every commit; add to .gitignore"
        self._warn(key, (words,), emit)

    async def _seal(self, effect: SealWork, emit: Emit) -> ev.WorkSealed:
        key, started = effect.key, self._clock.now()
        feature = self._features[key.feature]
        try:
            await self._mend(key, emit)
            git, link = self._worktrees.inside(self._worktrees.path_of(key))
            branch = self._worktrees.branch_of(key)
            work = Work(
                self._repository,
                git,
                link,
                key,
                branch,
                self._base_of(key),
                feature.name or feature.id,
                feature.touches,
            )
            sealed = await seal(work)
        except (SealRefused, OrchestrateError, OSError) as problem:
            at = self._clock.now()
            return ev.WorkSealed(at, key.feature, key.attempt, "", "", error=str(problem), duration_s=at - started)
        self._warn(key, sealed.notices, emit)
        at, diff = self._clock.now(), sealed.diff
        return ev.WorkSealed(
            at, key.feature, key.attempt, sealed.head, sealed.tree, len(diff.paths), diff.insertions, diff.deletions,
            sealed.commits, sealed.committed, sealed.out_of_scope, "", at - started, sealed.beyond,
        )  # fmt: skip

    async def _merge(self, effect: MergeWork, emit: Emit) -> ev.MergeFinished | ev.EffectLost:
        key, started = effect.key, self._clock.now()
        name, branch = self._features[key.feature].name, self._branch(key.run)
        try:
            done = await self._when_forward(
                effect, emit, lambda: uncut(branch.merge(key, name=name, head=effect.head, onto=effect.onto))
            )
        except asyncio.CancelledError:
            at = self._clock.now()
            return ev.EffectLost(at, key.feature, key.attempt, effect.id, STOPPED_WAITING, blameless=True)
        except (OrchestrateError, OSError) as problem:
            at = self._clock.now()
            return ev.MergeFinished(at, key.feature, key.attempt, "error", why=str(problem), duration_s=at - started)
        at = self._clock.now()
        return ev.MergeFinished(
            at, key.feature, key.attempt, done.kind, done.commit, done.tree, done.paths, done.why, at - started
        )

    async def _publish(self, effect: PublishMerge, emit: Emit) -> ev.Published:
        key, free = effect.key, _Said()

        async def move() -> tuple[str, str]:
            await self._until_free(effect, free, emit)
            return await uncut(self._move_branch(effect))

        try:
            why, tip = await self._when_forward(effect, emit, move)
        except asyncio.CancelledError:
            why, tip = STOPPED_WAITING, ""
        except (OrchestrateError, OSError) as problem:
            why, tip = str(problem), ""
        return ev.Published(self._clock.now(), key.feature, key.attempt, not why, tip, why)

    async def _move_branch(self, effect: PublishMerge) -> tuple[str, str]:
        branch = self._branch(effect.key.run)
        why = await branch.publish(effect.commit, effect.onto)
        return why, await branch.tip() if why else effect.commit

    async def _when_forward(self, effect: MergeWork | PublishMerge, emit: Emit, work: Callable[[], Awaitable[T]]) -> T:
        """Do it when the branch holds what was integrated: that somebody set it elsewhere is no fault of the feature's, so
        wait until it is put back. Raises CancelledError when stopped meanwhile."""
        said = _Said()
        while True:
            try:
                return await work()
            except SetBack as set_back:
                self._say_waiting(effect.key, str(set_back), said, emit)
            if (task := asyncio.current_task()) is not None and task.cancelling():  # which uncut has not let through
                raise asyncio.CancelledError
            await self._pause(HELD_POLL_S)

    async def _until_free(self, effect: PublishMerge, said: _Said, emit: Emit) -> None:
        """A checkout of the user's that stands on the integration branch is no fault of the feature's: wait until it is left."""
        branch = self._branch(effect.key.run)
        while holder := branch.checkout():
            words = f"{branch.name} is checked out in {holder}; switch to another branch there"
            self._say_waiting(effect.key, words, said, emit)
            await self._pause(HELD_POLL_S)

    def _say_waiting(self, key: AttemptKey, words: str, said: _Said, emit: Emit) -> None:
        if words != said.words:
            said.words = words
            self._warn(key, (f"waits to be integrated: {words}",), emit)

    async def save(self, key: AttemptKey, unless: str = "") -> Kept:
        """Save the attempt's work as it stands, also while its agent works. See checkpoint.keep. Raises GitError, OSError."""
        async with self._saving[key]:
            return await uncut(
                keep(
                    self._repository, key, self._worktrees.path_of(key),
                    branch_prefix=self._settings.branch_prefix, largest=LARGEST_BYTES, unless=unless,
                )
            )  # fmt: skip

    async def _keep(self, effect: KeepWork, emit: Emit) -> None:
        key = effect.key
        self._ports.release(key)
        if effect.integrated:
            return
        try:
            await self._mend(key, emit)
            kept = await self.save(key)
        except (OrchestrateError, OSError) as problem:
            words = f"its last state could not be saved under a private ref; the worktree stays as it is: {problem}"
            self._warn(key, (words,), emit)
            return
        if kept.left_out:
            shown = ", ".join(kept.left_out[:3])
            words = f"too large to be saved under a private ref, and in its worktree alone until cleanup: {shown}"
            self._warn(key, (words,), emit)

    async def _mend(self, key: AttemptKey, emit: Emit) -> None:
        """An agent that removed git's entry for its worktree has not removed its files. Call when it works no more."""
        if base := self._base_of(key):
            words = await rebuild_if_broken(self._worktrees, key, base=base)
            self._warn(key, (words,) if words else (), emit)

    def _branch(self, run: str) -> IntegrationBranch:
        if run not in self._branches:
            name = integration_branch(run, self._settings.branch_prefix)
            self._branches[run] = IntegrationBranch(self._repository, name)
        return self._branches[run]

    def _warn(self, key: AttemptKey, notices: tuple[str, ...], emit: Emit) -> None:
        for notice in notices:
            emit(ev.Warned(self._clock.now(), key.feature, notice))


class SavingPerformer:
    """Wraps the performer of agents: what an agent has done is saved while it works, and told. See pace."""

    def __init__(self, inner: Performer, pace: Pace, *, clock: Clock) -> None:
        self._inner = inner
        self._pace = pace
        self._clock = clock

    async def perform(self, effect: AnyEffect, emit: Emit) -> None:
        key = effect.key

        def on_saved(commit: str) -> None:
            emit(ev.WorkSaved(self._clock.now(), key.feature, key.attempt, commit))

        def on_trouble(trouble: Exception) -> None:
            words = f"its work cannot be saved while the agent works; it is tried again: {trouble}"
            emit(ev.Warned(self._clock.now(), key.feature, words))

        beside = Beside(key, on_saved, on_trouble)

        def tell(event: ev.Event) -> None:
            beside.is_over = beside.is_over or isinstance(event, ev.InvocationFinished)
            emit(event)

        await self._pace.while_(self._inner.perform(effect, tell), beside)


async def uncut(work: Coroutine[object, object, T]) -> T:
    """Await to the end even when cancelled meanwhile: for short work that must not stop half-way and has an answer."""
    task = asyncio.ensure_future(work)  # noqa: TID251  awaited right here, to its end
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            if task.cancelled():
                raise
    return task.result()
