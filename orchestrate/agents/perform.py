"""Performs RunAgent: brief → prompt → agent → InvocationFinished. The one module here that knows events and effects.

Invariant: every RunAgent is answered by exactly one InvocationFinished, whatever happens: the program is missing, the
template is broken, the agent is stopped. Nothing that an agent said is emitted unredacted.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from orchestrate.core import events as ev
from orchestrate.core.brief import Brief
from orchestrate.core.effects import AnyEffect, RunAgent, effects_of
from orchestrate.core.names import AttemptKey, worktree_dir
from orchestrate.core.plan import Feature
from orchestrate.errors import OrchestrateError
from orchestrate.ports import Clock, Emit
from orchestrate.prompting import render_prompt
from orchestrate.redact import Redactor

from . import claude
from .codec import AgentRequest, Codec, Ending
from .drive import Driven, Progress, drive
from .environment import allowed
from .salvage import salvage
from .scripted_codec import ScriptedCodec
from .settings import AgentSettings

WHY_LIMIT = 1_000
SAID_LIMIT = 4_000


class WorktreeGoneError(OrchestrateError):
    """Somebody removed the attempt's worktree: another attempt may make a new one."""


class AgentPerformer:
    """See ports.Performer.

    environ: the environment of the engine, of which agents see a whitelist. variables: such as PORT, by attempt.
    """

    def __init__(
        self,
        settings: AgentSettings,
        *,
        features: Mapping[str, Feature],
        brief_of: Callable[[RunAgent], Brief],
        variables: Callable[[AttemptKey], Mapping[str, str]],
        environ: Mapping[str, str],
        redactor: Redactor,
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._features = features
        self._brief_of = brief_of
        self._variables = variables
        self._environ = environ
        self._redactor = redactor
        self._clock = clock
        self._is_root = os.geteuid() == 0

    async def perform(self, effect: AnyEffect, emit: Emit) -> None:
        if not isinstance(effect, RunAgent):
            raise TypeError(f"agents do not perform {type(effect).__name__}")
        started = self._clock.now()
        try:
            codec, request = self._prepare(effect)
            driven = await drive(
                codec,
                request,
                tag=effect.id,
                output=self._artifact(effect, "jsonl"),
                errors=self._artifact(effect, "stderr"),
                timeout_s=effect.timeout_s,
                patience=self._settings.patience,
                on_progress=lambda progress: emit(self._progressed(effect, progress)),
                secrets=self._redactor.known,
                namespaces=self._settings.namespaces,
            )
        except WorktreeGoneError as gone:
            emit(self._finished(effect, Ending("crashed", gone.message), started))
        except OrchestrateError as refusal:
            why = f"{refusal.message}; {refusal.hint}" if refusal.hint else refusal.message
            emit(self._finished(effect, Ending("config", why), started))
        except OSError as error:
            emit(self._finished(effect, Ending("config", f"the agent could not be started: {error}"), started))
        except asyncio.CancelledError:
            # Stopped before there was a process. That is reported, so the cancellation has been answered.
            emit(self._finished(effect, Ending("interrupted", "stopped before it began"), started))
        else:
            emit(self._finished(effect, driven.ending, started, driven))

    def salvage(self, key: AttemptKey, started: ev.InvocationStarted) -> ev.InvocationFinished:
        """How an invocation ended whose engine died, from what the agent left. Its process must be dead by now."""
        effect = next(e for e in effects_of(key.run, started) if isinstance(e, RunAgent))
        codec = self._codec(self._features[key.feature])
        output = self._artifact(effect, "jsonl")
        salvaged = salvage(codec, output, self._artifact(effect, "stderr"))
        last_word = output.stat().st_mtime if output.exists() else started.at
        finished = self._finished(effect, salvaged.ending, started.at)
        return replace(
            finished,
            exit_code=salvaged.exit_code,
            duration_s=max(0.0, last_word - started.at) if salvaged.duration_s is None else salvaged.duration_s,
            artifact=str(output) if output.exists() else "",
            oom=salvaged.oom,
        )

    # ── the request ──────────────────────────────────────────────────────────────────────────────────────────────

    def _prepare(self, effect: RunAgent) -> tuple[Codec, AgentRequest]:
        """Raises OrchestrateError for what a person must mend."""
        s = self._settings
        feature = self._features[effect.key.feature]
        cwd = s.worktrees / worktree_dir(effect.key)
        if not cwd.is_dir():
            raise WorktreeGoneError(f"the worktree {cwd} is gone")
        codec = self._codec(feature)
        if feature.agent == "scripted":
            passed, command = s.scripted.pass_env, scripted_command(s.scripted.script)
        else:
            passed, command = (*claude.PASSED_ON, *s.claude.pass_env), s.claude.command
        environment = self._environment(effect, feature, passed)
        is_claude = feature.agent == "claude"
        allowed_tools = s.claude.allowed_tools if is_claude else ()
        if is_claude and s.claude.permission_mode != "bypassPermissions":
            allowed_tools += claude.tool_rules(tuple(c.run for c in feature.verify))
        return codec, AgentRequest(
            prompt=render_prompt(self._brief_of(effect), s.template),
            session=effect.session,
            resume=effect.resume,
            cwd=str(cwd),
            command=(find_program(command[0], environment), *command[1:]),
            environment=environment,
            feature=feature.id,
            attempt=effect.key.attempt,
            invocation=effect.invocation,
            model=feature.model,
            fallback_model=s.claude.fallback_model if is_claude else "",
            max_turns=s.max_turns,
            max_cost_usd=effect.max_cost_usd,
            permission_mode=s.claude.permission_mode,
            allowed_tools=allowed_tools,
            disallowed_tools=s.claude.disallowed_tools if is_claude else (),
            args=s.claude.args if is_claude else (),
            is_root=self._is_root,
        )

    def _codec(self, feature: Feature) -> Codec:
        match feature.agent:
            case "claude":
                return claude.ClaudeCodec()
            case "scripted":
                return ScriptedCodec()
            case other:
                raise OrchestrateError(f"there is no agent `{other}`", hint="see `orchestrate agents`")

    def _environment(self, effect: RunAgent, feature: Feature, passed: tuple[str, ...]) -> dict[str, str]:
        key = effect.key
        environment = allowed(self._environ, passed)
        environment.setdefault("PATH", os.defpath)
        if feature.agent == "scripted":
            # Not beside the script: that may lie in the user's checkout.
            environment["ORCHESTRATE_SCRIPTED_STATE"] = str(self._settings.artifacts / "scripted-sessions")
        environment |= dict(feature.env)
        return {
            **environment,
            **after_git_settings(environment, self._variables(key)),
            "ORCHESTRATE_RUN": key.run,
            "ORCHESTRATE_FEATURE": key.feature,
            "ORCHESTRATE_ATTEMPT": str(key.attempt),
            "ORCHESTRATE_INVOCATION": str(effect.invocation),
        }

    def _artifact(self, effect: RunAgent, suffix: str) -> Path:
        key = effect.key
        name = f"agent-{effect.invocation}.{suffix}"
        return self._settings.artifacts / key.feature / str(key.attempt) / name

    # ── the answer ───────────────────────────────────────────────────────────────────────────────────────────────

    def _progressed(self, effect: RunAgent, progress: Progress) -> ev.InvocationProgressed:
        return ev.InvocationProgressed(
            at=self._clock.now(),
            feature=effect.key.feature,
            attempt=effect.key.attempt,
            invocation=effect.invocation,
            action=self._redactor.redact(progress.action),
            turns=progress.turns,
            tokens=progress.tokens,
            cost_usd=progress.cost_usd,
        )

    def _finished(
        self, effect: RunAgent, ending: Ending, started: float, driven: Driven | None = None
    ) -> ev.InvocationFinished:
        now = self._clock.now()
        return ev.InvocationFinished(
            at=now,
            feature=effect.key.feature,
            attempt=effect.key.attempt,
            invocation=effect.invocation,
            end=ending.end,
            why=self._redactor.redact(ending.why)[:WHY_LIMIT],
            said=self._redactor.redact(ending.said)[:SAID_LIMIT],
            cost_usd=ending.cost_usd,
            cost_estimated=ending.cost_estimated,
            tokens=ending.tokens,
            turns=ending.turns,
            denials=ending.denials,
            resets_at=ending.resets_at,
            exit_code=driven.exit_code if driven else None,
            duration_s=driven.duration_s if driven else max(0.0, now - started),
            session=ending.session or effect.session,
            session_lost=ending.session_lost,
            model=ending.model,
            artifact=str(self._artifact(effect, "jsonl")) if driven and not driven.problem else "",
            oom=driven.oom if driven else False,
        )


def scripted_command(script: str) -> tuple[str, ...]:
    """-P: the worktree may hold modules with the names of ours, and must not be searched first."""
    if not script:
        raise OrchestrateError(
            "the scripted agent has no script", hint="set `scripted.script`; see docs/scripted-agent.md"
        )
    return (sys.executable, "-P", "-m", "orchestrate.agents.scripted", "--script", script)


def after_git_settings(environment: Mapping[str, str], more: Mapping[str, str]) -> dict[str, str]:
    """`more` with its settings for git numbered behind those that the environment holds, of which none is lost.
    https://git-scm.com/docs/git-config#Documentation/git-config.txt-GITCONFIGCOUNT"""
    said = environment.get("GIT_CONFIG_COUNT", "")
    first = int(said) if said.isdecimal() else 0
    out = {name: value for name, value in more.items() if not name.startswith("GIT_CONFIG_")}
    count = int(more.get("GIT_CONFIG_COUNT", "0"))
    for number in range(count):
        for part in ("KEY", "VALUE"):
            out[f"GIT_CONFIG_{part}_{first + number}"] = more[f"GIT_CONFIG_{part}_{number}"]
    return {**out, "GIT_CONFIG_COUNT": str(first + count)} if count else out


def find_program(name: str, environment: Mapping[str, str]) -> str:
    """Absolute path of the program, found on the PATH that the agent will have."""
    found = shutil.which(name, path=environment.get("PATH", os.defpath))
    if found is None:
        raise OrchestrateError(
            f"the agent's program `{name}` was not found",
            hint="install it, or set its path (`claude.command`); see `orchestrate doctor`",
        )
    return str(Path(found).absolute())
