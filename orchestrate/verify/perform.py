"""Does RunChecks and RunMergeChecks, and runs setup commands. The only module here that knows events.

Invariant: each effect answers with exactly one event, also when it is cancelled; all checks run, in order, whatever the
earlier ones said.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from orchestrate.core import events as ev
from orchestrate.core.effects import AnyEffect, RunChecks, RunMergeChecks
from orchestrate.core.names import AttemptKey
from orchestrate.core.plan import Command, Feature
from orchestrate.errors import OrchestrateError
from orchestrate.ports import Clock, Emit
from orchestrate.redact import Redactor

from .checks import Place, run_check
from .environment import build_environment
from .settings import VerifySettings

INTERRUPTED = "interrupted"


class VerifyPerformer:
    """Runs the user's commands for one run. features: of the plan, by id. path_of: an attempt's worktree. port_of: first
    of its ports. integration_worktree(run, commit): a checkout of that commit; raises OrchestrateError."""

    def __init__(
        self,
        settings: VerifySettings,
        features: Mapping[str, Feature],
        *,
        clock: Clock,
        path_of: Callable[[AttemptKey], Path],
        port_of: Callable[[AttemptKey], int],
        integration_worktree: Callable[[str, str], Awaitable[Path]],
        redactor: Redactor,
    ) -> None:
        self._settings = settings
        self._features = features
        self._clock = clock
        self._path_of = path_of
        self._port_of = port_of
        self._integration_worktree = integration_worktree
        self._redactor = redactor

    async def perform(self, effect: AnyEffect, emit: Emit) -> None:
        key, started = effect.key, self._clock.now()
        results: list[ev.CheckResult] = []
        error = ""
        finished: type[ev.ChecksFinished | ev.MergeChecksFinished]
        try:
            match effect:
                case RunChecks():
                    finished = ev.ChecksFinished
                    await self._run_checks(effect.id, key, self._path_of(key), "feature", results)
                case RunMergeChecks(commit=commit, also=also):
                    finished = ev.MergeChecksFinished
                    path = await self._integration_worktree(key.run, commit)
                    await self._run_checks(effect.id, key, path, "integration", results, also)
                case _:
                    raise TypeError(f"verify does not perform {type(effect).__name__}")
        except asyncio.CancelledError:
            error = INTERRUPTED
        except (OrchestrateError, OSError) as problem:
            error = str(problem)
        at = self._clock.now()
        ok = not error and all(result.ok for result in results)
        emit(finished(at, key.feature, key.attempt, ok, tuple(results), error, at - started))

    async def run_setup(self, key: AttemptKey, path: Path) -> str:
        """The setup commands of the attempt's feature (of the project, for the integration worktree), until one fails.

        Returns why it failed, empty when none did.
        """
        feature = self._features.get(key.feature)
        commands = self._settings.setup if feature is None else feature.setup
        for number, command in enumerate(commands):
            tag = f"{key.run}.{key.feature}.{key.attempt}.setup.{number}"
            place = self._place(key, path, tag, f"setup-{number}.log")
            result = await run_check(command, place)
            if not result.ok:
                how = "ran out of time" if result.timed_out else f"exit code {result.exit_code}"
                named = "" if command.name == command.run else f"{command.name}: "
                return f"{named}{command.run} ({how})\n{result.tail}".rstrip()
        return ""

    async def _run_checks(
        self,
        effect_id: str,
        key: AttemptKey,
        path: Path,
        when: Literal["feature", "integration"],
        results: list[ev.CheckResult],
        also: Sequence[str] = (),
    ) -> None:
        """Append to results as they come, so that what was seen survives a cancellation. also: features whose checks are
        due too; one that has run already, for whichever feature, is not run again."""
        n = effect_id.rpartition(".")[2]
        done: set[tuple[str, str]] = set()
        for fid in (key.feature, *also):
            for command in _due(self._features[fid].verify, when):
                if (command.name, command.run) in done:
                    continue
                number = len(done)
                done.add((command.name, command.run))
                place = self._place(key, path, f"{effect_id}.{number}", f"check-{n}-{number}.log", of=fid)
                result = await run_check(command, place)
                results.append(result if fid == key.feature else replace(result, name=f"{result.name} (of {fid})"))

    def _place(self, key: AttemptKey, path: Path, tag: str, file_name: str, *, of: str = "") -> Place:
        feature = self._features.get(of or key.feature)
        own = feature.env if feature is not None else self._settings.env
        return Place(
            cwd=path,
            env=build_environment(self._settings.environ, key=key, port=self._port_of(key), env=own),
            tag=tag,
            artifact=self._settings.artifacts / key.feature / str(key.attempt) / file_name,
            redactor=self._redactor,
            namespaces=self._settings.namespaces,
        )


def _due(commands: Sequence[Command], when: Literal["feature", "integration"]) -> list[Command]:
    return [command for command in commands if command.when in (when, "both")]
