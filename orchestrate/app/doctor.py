"""What this machine and this repository offer, found out by trying. For `doctor` and `agents`.

Invariant: nothing is changed, nothing is paid for; what cannot be found out is said, never guessed.
"""

from __future__ import annotations

import os
import platform
import shlex
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from orchestrate import __version__
from orchestrate.agents.detect import AgentStatus, agents, probe
from orchestrate.agents.settings import AgentSettings, ClaudeSettings, ScriptedSettings
from orchestrate.app.containment import containment_rows
from orchestrate.app.machine import machine_rows
from orchestrate.core.plan import build_plan
from orchestrate.errors import InputRefused, OrchestrateError
from orchestrate.git.repository import open_repository, resolve_base
from orchestrate.spec.finding import find_config
from orchestrate.spec.load import Loaded, load_project, load_settings
from orchestrate.spec.settings import Settings
from orchestrate.store.artifacts import StateDir
from orchestrate.store.backups import newest_good_backup
from orchestrate.store.log import SqliteEventLog

Verdict = Literal["ok", "note", "missing"]
"""Fine · worth knowing, a run works without it · a run will not work."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at. text: what was found; hint: what to do about it, ready to paste where possible."""

    name: str
    verdict: Verdict
    text: str
    hint: str = ""


def examine(*, start: Path, config: Path | None, environ: Mapping[str, str]) -> tuple[Finding, ...]:
    """Look at everything, in the order in which one would mend it."""
    findings = [_python(), *_repository(start, environ)]
    loaded, found = _configuration(start, config, environ)
    findings += found
    settings = _settings(loaded, start, config, environ)
    findings += _agents(settings, loaded, environ)
    findings += (Finding(*row) for row in machine_rows(start, settings, environ))
    findings += (Finding(*row) for row in containment_rows(settings, environ))
    return tuple(findings)


def agent_statuses(settings: Settings, environ: Mapping[str, str]) -> tuple[AgentStatus, ...]:
    """All agents that a feature may ask for, as they are set up here."""
    slice_ = _agent_settings(settings)
    return tuple(probe(agent, slice_, environ) for agent in agents())


def _agent_settings(settings: Settings) -> AgentSettings:
    """As much of the slice as a probe looks at."""
    command = settings.claude.command
    return AgentSettings(
        worktrees=Path(os.sep),
        artifacts=Path(os.sep),
        claude=ClaudeSettings(
            command=(command,) if "/" in command else tuple(shlex.split(command)), pass_env=settings.claude.pass_env
        ),
        scripted=ScriptedSettings(settings.scripted.script),
    )


# ── one by one ───────────────────────────────────────────────────────────────────────────────────────────────────


def _python() -> Finding:
    return Finding("python", "ok", f"{platform.python_version()}, orchestrate {__version__} ({sys.executable})")


def _repository(start: Path, environ: Mapping[str, str]) -> Iterator[Finding]:
    """git, the repository, its base and its state directory."""
    try:
        repository = open_repository(start, environ=environ)
    except OrchestrateError as refused:
        yield Finding("repository", "missing", refused.message, refused.hint)
        return
    yield Finding("git", "ok", ".".join(map(str, repository.version)))
    try:
        base = resolve_base(repository)
        yield Finding("repository", "ok", f"{repository.toplevel}, {base.name} at {base.commit[:10]}")
    except OrchestrateError as refused:
        yield Finding("repository", "missing", refused.message, refused.hint)
    for notice in repository.notices:
        yield Finding("repository", "note", notice)
    state = StateDir(repository.common_dir)
    yield _state(state)
    yield from _log(state)


def _state(state: StateDir) -> Finding:
    place = state.root if state.root.exists() else state.root.parent
    if not os.access(place, os.W_OK | os.X_OK):
        return Finding(
            "state", "missing", f"{place} cannot be written", f"check its owner: ls -ld {shlex.quote(str(place))}"
        )
    return Finding("state", "ok", f"{state.root}{'' if state.root.exists() else ' (made by the first run)'}")


def _log(state: StateDir) -> Iterator[Finding]:
    """The log of all runs so far, looked through from its first event to its last."""
    try:
        with SqliteEventLog(state.log, read_only=True) as log:
            events, runs = log.verify(), len(log.runs())
    except OrchestrateError as refused:
        yield Finding("log", "missing", refused.message, refused.hint)
        return
    if events:
        backup = newest_good_backup(state.log)
        copied = f"the newest backup holds {backup.events}" if backup else "no backup yet (the next run makes one)"
        yield Finding("log", "ok", f"{events} events of {runs} run{'s' if runs != 1 else ''}, undamaged; {copied}")


def _configuration(start: Path, config: Path | None, environ: Mapping[str, str]) -> tuple[Loaded | None, list[Finding]]:
    try:
        path = find_config(start, config)
    except OrchestrateError as absent:
        return None, [Finding("configuration", "note" if config is None else "missing", absent.message, absent.hint)]
    try:
        loaded = load_project(start=start, config=config, environ=environ, flags={})
        build_plan(loaded.features)
    except InputRefused as refused:
        count = len(refused.problems)
        text = f"{path}: {count} problem{'s' if count != 1 else ''}, the first: {refused.problems[0].message}"
        return None, [Finding("configuration", "missing", text, "orchestrate plan shows them all")]
    except OrchestrateError as refused:
        return None, [Finding("configuration", "missing", f"{path}: {refused.message}", refused.hint)]
    many = len(loaded.features)
    found = [Finding("configuration", "ok", f"{path}: {many} feature{'s' if many != 1 else ''}")]
    if any(not feature.verify for feature in loaded.features):
        bare = "some features have no check: nothing tells whether their code works"
        found.append(Finding("configuration", "note", bare, "set verify"))
    return loaded, found


def _settings(loaded: Loaded | None, start: Path, config: Path | None, environ: Mapping[str, str]) -> Settings:
    if loaded is not None:
        return loaded.settings
    try:
        return load_settings(start=start, config=config, environ=environ, flags={})[0]
    except OrchestrateError:
        return Settings()  # reported as the configuration's problem


def _agents(settings: Settings, loaded: Loaded | None, environ: Mapping[str, str]) -> Iterator[Finding]:
    """Those that are needed; `orchestrate agents` lists them all."""
    needed = {feature.agent for feature in loaded.features} if loaded else {settings.agent}
    for status in agent_statuses(settings, environ):
        if status.name not in needed:
            continue
        if not status.usable:
            # Without a feature list nothing says which agent is wanted.
            yield Finding(status.name, "missing" if loaded else "note", status.problem, status.hint)
        elif status.signed_in == "no":
            yield Finding(status.name, "missing", f"{status.version} ({status.path}), not signed in", status.hint)
        else:
            how = "sign-in cannot be seen from here"
            if status.signed_in == "yes":
                how = "needs no account" if status.name == "scripted" else f"signed in by {status.how}"
            verdict: Verdict = "note" if status.hint else "ok"
            yield Finding(status.name, verdict, f"{status.version} ({status.path}), {how}", status.hint)
