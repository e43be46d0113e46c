"""Who does what: every effect of the rules gets its performer, put together from the settings of the run.

Invariant: no kind of effect is without a performer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import get_args

from orchestrate.agents.perform import AgentPerformer
from orchestrate.core import effects as fx
from orchestrate.core.names import AttemptKey
from orchestrate.core.plan import Plan
from orchestrate.engine.clock import SystemClock, TimelyPerformer
from orchestrate.engine.health import Health
from orchestrate.engine.shortage import ShortagePerformer
from orchestrate.engine.vitals import MIB
from orchestrate.git.pace import Pace
from orchestrate.git.perform import GitPerformer, SavingPerformer
from orchestrate.git.settings import GitSettings
from orchestrate.ports import Performer
from orchestrate.redact import Redactor, secret_values
from orchestrate.verify.perform import VerifyPerformer
from orchestrate.verify.settings import VerifySettings

from .memory import RunMemory
from .order import Order, agent_settings


def build_performers(
    order: Order,
    plan: Plan,
    memory: RunMemory,
    clock: SystemClock,
    health: Health,
    *,
    artifacts: Path,
    branch_prefix: str,
    worktrees: Path | None,
) -> tuple[Mapping[type[fx.Effect], Performer], AgentPerformer, GitPerformer]:
    """By kind of effect; the agents' and git's also apart. worktrees: where those of this run lie already, if there are any."""
    settings, features = order.loaded.settings, plan.features
    redactor = Redactor({**secret_values(order.environ), **secret_values(dict(settings.env))})
    agents = agent_settings(order.loaded, order.repository, artifacts)
    agents = replace(agents, worktrees=worktrees or agents.worktrees)
    git_settings = GitSettings(
        agents.worktrees, branch_prefix, settings.copy, settings.ports.first, settings.ports.count,
        settings.disk.low_mb * MIB,
    )  # fmt: skip

    async def run_setup(key: AttemptKey, path: Path) -> str:
        return await verify.run_setup(key, path)

    git = GitPerformer(
        order.repository, git_settings, features,
        clock=clock, base_of=memory.base_of, run_setup=run_setup, ports_held=memory.ports_held,
    )  # fmt: skip
    verify = VerifyPerformer(
        VerifySettings(artifacts, settings.setup, order.environ, settings.env, agents.namespaces), features,
        clock=clock, path_of=git.path_of, port_of=git.port_of,
        integration_worktree=git.integration_worktree, redactor=redactor,
    )  # fmt: skip
    agent = AgentPerformer(
        agents, features=features, brief_of=memory.brief_of,
        variables=lambda key: {**_port_variables(git.port_of(key)), **git.variables_of(key)},
        environ=order.environ, redactor=redactor, clock=clock,
    )  # fmt: skip
    performers: dict[type[fx.Effect], Performer] = {
        fx.PrepareWorktree: git,
        fx.RunAgent: SavingPerformer(
            TimelyPerformer(agent, clock), Pace(git.save, settings.checkpoints.every_seconds), clock=clock
        ),
        fx.SealWork: git,
        fx.RunChecks: verify,
        fx.MergeWork: git,
        fx.RunMergeChecks: verify,
        fx.PublishMerge: git,
        fx.KeepWork: git,
    }
    missing = set(get_args(fx.AnyEffect)) - performers.keys() - {fx.StopWork}
    assert not missing, f"nobody performs {missing}"
    minding = {id(p): ShortagePerformer(p, health, clock) for p in performers.values()}
    return {kind: minding[id(performer)] for kind, performer in performers.items()}, agent, git


def _port_variables(port: int) -> dict[str, str]:
    return {"PORT": str(port), "ORCHESTRATE_PORT": str(port)} if port else {}
