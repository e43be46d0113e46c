"""Which agents are there, in which version, and whether they look signed in. For doctor and pre-flight.

Invariant: looks at files and variables and runs `--version`; nothing here talks to a service or costs anything.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from orchestrate.errors import OrchestrateError
from orchestrate.process import run_command_now

from . import claude
from .environment import allowed
from .perform import find_program, scripted_command
from .settings import AgentSettings

VERSION_TIMEOUT_S = 20.0
OLDEST = (2, 1, 197)
"""Oldest Claude Code that this was tested with."""

_SIGN_IN_VARIABLES = (
    *("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN"),
    *("CLAUDE_CODE_USE_BEDROCK", "CLAUDE_CODE_USE_VERTEX"),
)


@dataclass(frozen=True, slots=True)
class AgentStatus:
    """What is known of one agent. signed_in: `unknown` where only the system's key store could tell.

    how: what the sign-in was recognised by. problem: why it cannot be used, empty if it can; hint: what to do.
    """

    name: str
    path: str = ""
    version: str = ""
    signed_in: Literal["yes", "no", "unknown"] = "unknown"
    how: str = ""
    problem: str = ""
    hint: str = ""

    @property
    def usable(self) -> bool:
        return not self.problem


def agents() -> tuple[str, ...]:
    """Names of all agents that a feature may ask for."""
    return ("claude", "scripted")


def probe(agent: str, settings: AgentSettings, environ: Mapping[str, str]) -> AgentStatus:
    """Look for one agent. environ: of the user; the program is run with the whitelisted part of it."""
    match agent:
        case "claude":
            return _probe_claude(settings, environ)
        case "scripted":
            return _probe_scripted(settings)
        case _:
            return AgentStatus(agent, problem=f"there is no agent `{agent}`", hint=f"known are {', '.join(agents())}")


def _probe_claude(settings: AgentSettings, environ: Mapping[str, str]) -> AgentStatus:
    environment = allowed(environ, (*claude.PASSED_ON, *settings.claude.pass_env))
    command = settings.claude.command
    try:
        path = find_program(command[0], environment)
    except OrchestrateError as missing:
        return AgentStatus("claude", problem=missing.message, hint="npm install -g @anthropic-ai/claude-code")
    try:
        done = run_command_now(
            (path, *command[1:], "--version"),
            cwd=Path(os.sep),
            env={**environment, **claude.ENVIRONMENT},
            timeout_s=VERSION_TIMEOUT_S,
        )
    except OSError as error:
        return AgentStatus("claude", path, problem=f"`{path}` cannot be run: {error.strerror}")
    numbers = re.search(rb"(\d+)\.(\d+)\.(\d+)", done.stdout)
    if not done.ok or numbers is None:
        words = (done.stderr or done.stdout).decode("utf-8", "replace").strip().splitlines()
        said = words[-1][:200] if words else f"exit code {done.exit_code}"
        return AgentStatus("claude", path, problem=f"`{path} --version` failed: {said}", hint="install it again")
    version = tuple(int(n) for n in numbers.groups())
    signed_in, how = _sign_in(environ)
    hint = ""
    if version < OLDEST:
        hint = f"older than {'.'.join(map(str, OLDEST))}, with which this was tested; consider an update"
    elif signed_in == "no":
        hint = "run `claude` once and sign in, or set ANTHROPIC_API_KEY"
    return AgentStatus("claude", path, numbers[0].decode(), signed_in, how, hint=hint)


def _sign_in(environ: Mapping[str, str]) -> tuple[Literal["yes", "no", "unknown"], str]:
    """A guess from what lies about; only a paid call could tell whether it is valid."""
    for name in _SIGN_IN_VARIABLES:
        if environ.get(name):
            return "yes", name
    home = environ.get("HOME", "")
    directory = environ.get("CLAUDE_SECURESTORAGE_CONFIG_DIR") or environ.get("CLAUDE_CONFIG_DIR")
    credentials = (Path(directory) if directory else Path(home) / ".claude") / ".credentials.json"
    if credentials.is_file():
        return "yes", str(credentials)
    # macOS keeps the sign-in in the keychain, which we do not open.
    return ("unknown", "keychain") if sys.platform == "darwin" else ("no", "")


def _probe_scripted(settings: AgentSettings) -> AgentStatus:
    from orchestrate import __version__

    try:
        command = scripted_command(settings.scripted.script)
    except OrchestrateError as missing:
        return AgentStatus("scripted", sys.executable, __version__, "yes", problem=missing.message, hint=missing.hint)
    script = command[-1]
    if not Path(script).is_file():
        return AgentStatus(
            "scripted", sys.executable, __version__, "yes",
            problem=f"its script {script} is not there", hint="correct `scripted.script`",
        )  # fmt: skip
    return AgentStatus("scripted", sys.executable, __version__, "yes", how="no account needed")
