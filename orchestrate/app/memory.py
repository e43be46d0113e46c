"""What performers ask of the past: bases, ports, what was said of a dependency, why the last try failed.

Invariant: a fold of the log and of nothing else, so that a resumed run answers as the first engine would have.
"""

from __future__ import annotations

from collections.abc import Mapping

from orchestrate.core import events as ev
from orchestrate.core.brief import Brief, BriefCheck, Needed
from orchestrate.core.effects import RunAgent
from orchestrate.core.names import AttemptKey
from orchestrate.core.plan import Plan

SAID_LIMIT = 600
"""Characters of a dependency's last words in a brief."""


class RunMemory:
    """Listens to every stored event of one run."""

    def __init__(self, run: str, plan: Plan, *, project: str, context: str, rules: tuple[str, ...], ports: int) -> None:
        self._run, self._plan = run, plan
        self._project, self._context, self._rules = project, context, rules
        self._ports = ports
        self._bases: dict[AttemptKey, str] = {}
        self._held: dict[AttemptKey, int] = {}
        self._said: dict[str, str] = {}
        self._failed: dict[str, str] = {}
        self._invoking: dict[str, ev.InvocationStarted] = {}

    def listen(self, event: ev.Event) -> None:
        match event:
            case ev.WorktreePrepared():
                key = AttemptKey(self._run, event.feature, event.attempt)
                self._bases[key] = event.base
                if event.port:
                    self._held[key] = event.port
            case ev.InvocationStarted():
                self._invoking[event.feature] = event
            case ev.InvocationFinished():
                self._invoking.pop(event.feature, None)
                if event.end in ("done", "denied"):
                    self._said[event.feature] = event.said
            case ev.EngineStarted():
                self._invoking.clear()
            case ev.AttemptEnded():
                self._held.pop(AttemptKey(self._run, event.feature, event.attempt), None)
                if event.retry and event.outcome not in ("interrupted", "postponed"):
                    self._failed[event.feature] = event.why
            case _:
                pass

    def base_of(self, key: AttemptKey) -> str:
        """Commit id that the attempt started from; empty if it was never prepared."""
        return self._bases.get(key, "")

    @property
    def invoking(self) -> tuple[ev.InvocationStarted, ...]:
        """Invocations whose end is not in the log."""
        return tuple(self._invoking.values())

    @property
    def ports_held(self) -> Mapping[AttemptKey, int]:
        """Port blocks of the attempts that have not ended."""
        return self._held

    def brief_of(self, effect: RunAgent) -> Brief:
        """What the agent of this invocation is told."""
        feature = self._plan.features[effect.key.feature]
        port = self._held.get(effect.key, 0)
        return Brief(
            id=feature.id,
            name=feature.name or feature.id,
            prompt=feature.prompt,
            phase=effect.phase,
            resumed=effect.resume,
            project=self._project,
            description=feature.description,
            context=self._context,
            rules=self._rules,
            creates=feature.creates,
            uses=feature.uses,
            dependencies=tuple(self._needed(fid) for fid in feature.depends_on),
            touches=feature.touches,
            checks=tuple(BriefCheck(c.name, c.run) for c in feature.verify),
            expects_changes=feature.expects_changes,
            feedback=effect.feedback,
            attempt=effect.key.attempt,
            earlier_failure=self._failed.get(feature.id, ""),
            ports=tuple(range(port, port + self._ports)) if port else (),
        )

    def _needed(self, fid: str) -> Needed:
        feature = self._plan.features[fid]
        return Needed(fid, feature.name or fid, feature.creates, self._said.get(fid, "")[:SAID_LIMIT])
