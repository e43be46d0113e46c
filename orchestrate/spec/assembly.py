"""Merged layers → Settings with the origin of each, and the rules that no single value can break."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from orchestrate.core.names import fold_id
from orchestrate.core.plan import Command
from orchestrate.errors import Problem

from .features import command_of
from .layers import DEFAULT, Layer, Origin, nest, setting_paths
from .settings import Checkpoints, Claude, Containment, Disk, Limits, Ports, Prompts, Scripted, Settings
from .words import quoted

if TYPE_CHECKING:
    from .models import Common, Step

LAST_PORT = 65_535


def assemble(merged: Layer) -> tuple[Settings, dict[str, Origin]]:
    """Settings, and where each came from: by name, as in `limits.max_cost_usd` and `env.PORT`. All values are sound."""
    from .models import Common

    origins = {".".join(map(str, path)): DEFAULT for path in setting_paths()}
    origins.update({".".join(map(str, path)): value.origin for path, value in merged.items()})
    return settings_of(Common.model_validate(nest(merged))), origins


def settings_problems(settings: Settings, origins: Mapping[str, Origin]) -> tuple[Problem, ...]:
    """What no single value can say."""
    problems: list[Problem] = []

    def report(name: str, message: str, hint: str) -> None:
        problems.append(origins[name].problem(message, hint))

    for name, commands in (("setup", settings.setup), ("verify", settings.verify)):
        for twice in names_given_twice(commands):
            report(name, f"{name} has two entries called {quoted(twice)}", 'remove one, or give it a "name" of its own')
    run, feature = settings.limits.max_cost_usd, settings.limits.feature_max_cost_usd
    if run is not None and feature is not None and feature > run:
        message = f"a feature may cost ${feature:g}, but the whole run only ${run:g}"
        report("limits.feature_max_cost_usd", message, "raise limits.max_cost_usd, or lower this")
    last = settings.ports.first + settings.ports.count * settings.max_parallel - 1
    if last > LAST_PORT:
        message = f"{settings.max_parallel} worktrees need ports up to {last:,}"
        report("ports.first", message, f"begin lower: {LAST_PORT} is the last")
    if settings.base_branch and fold_id(settings.branch_prefix) == fold_id(settings.base_branch):
        message = f"branches cannot begin with {quoted(settings.branch_prefix)}: the base branch has that name"
        report("branch_prefix", message, "choose another branch_prefix")
    return tuple(problems)


def names_given_twice(commands: tuple[Command, ...]) -> list[str]:
    names = [command.name for command in commands]
    return sorted({name for name in names if names.count(name) > 1})


def _commands(steps: list[Step]) -> tuple[Command, ...]:
    return tuple(command_of(step) for step in steps)


def settings_of(written: Common) -> Settings:
    """The model → plain values."""
    limits, prompts, claude = written.limits, written.prompts, written.claude
    return Settings(
        base_branch=written.base_branch,
        max_parallel=written.max_parallel,
        timeout_seconds=float(written.timeout_seconds),
        worktrees_dir=written.worktrees_dir,
        branch_prefix=written.branch_prefix,
        start_on=written.start_on,
        schedule=written.schedule,
        setup=_commands(written.setup),
        verify=_commands(written.verify),
        copy=tuple(written.copy_),
        agent=written.agent,
        model=written.model,
        env=tuple(written.env.items()),
        max_attempts=written.max_attempts,
        max_reworks=written.max_reworks,
        retry_backoff_seconds=float(written.retry_backoff_seconds),
        limits=Limits(limits.max_cost_usd, limits.feature_max_cost_usd, limits.max_turns, float(limits.stall_seconds)),
        prompts=Prompts(prompts.context_file, tuple(prompts.quality_rules), prompts.template),
        ports=Ports(written.ports.first, written.ports.count),
        claude=Claude(
            command=claude.command,
            permission_mode=claude.permission_mode,
            allowed_tools=tuple(claude.allowed_tools),
            disallowed_tools=tuple(claude.disallowed_tools),
            fallback_model=claude.fallback_model,
            pass_env=tuple(claude.pass_env),
            args=tuple(claude.args),
        ),
        scripted=Scripted(written.scripted.script),
        containment=Containment(written.containment.pid_namespace),
        checkpoints=Checkpoints(written.checkpoints.every_seconds),
        disk=Disk(written.disk.low_mb),
    )
