"""What a run has cost, and on what: by feature, attempt, model and phase. Pure.

Invariant: every table adds up to the total, as each invocation that ended is in each table exactly once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from orchestrate.core import events as ev
from orchestrate.views.attempts import NO_TOKENS
from orchestrate.views.run import RunView


@dataclass(frozen=True, slots=True)
class CostLine:
    """US dollars and tokens of some invocations. estimated_usd: the part of usd that no agent reported but we derived.

    key: feature id, `<feature>/<attempt>`, model, or phase; empty for the total. invocations: those that ended.
    """

    key: str
    invocations: int = 0
    turns: int = 0
    usd: float = 0.0
    estimated_usd: float = 0.0
    tokens: ev.Tokens = NO_TOKENS

    @property
    def estimated(self) -> bool:
        return self.estimated_usd > 0


@dataclass(frozen=True, slots=True)
class Costs:
    """Each table is ordered by cost, dearest first. lost: invocations that died with their engine, cost unknown."""

    total: CostLine
    features: tuple[CostLine, ...]
    attempts: tuple[CostLine, ...]
    models: tuple[CostLine, ...]
    phases: tuple[CostLine, ...]
    lost: int = 0


@dataclass(frozen=True, slots=True)
class _Spent:
    feature: str
    attempt: int
    phase: ev.Phase
    model: str
    finished: ev.InvocationFinished


def build_costs(view: RunView) -> Costs:
    """A model that the agent did not name is the one that was asked for, or `<agent>'s default`."""
    spent = tuple(_spent(view))
    return Costs(
        total=_line("", spent),
        features=_table(spent, lambda s: s.feature),
        attempts=_table(spent, lambda s: f"{s.feature}/{s.attempt}"),
        models=_table(spent, lambda s: s.model),
        phases=_table(spent, lambda s: s.phase),
        lost=sum(
            bool(invocation.lost) and invocation.finished is None
            for feature in view.features.values()
            for attempt in feature.attempts
            for invocation in attempt.invocations
        ),
    )


def _spent(view: RunView) -> Iterable[_Spent]:
    for feature in view.features.values():
        planned = view.plan.features[feature.id]
        for attempt in feature.attempts:
            for invocation in attempt.invocations:
                if (finished := invocation.finished) is not None:
                    model = finished.model or planned.model or f"{planned.agent}'s default"
                    yield _Spent(feature.id, attempt.number, invocation.started.phase, model, finished)


def _table(spent: Iterable[_Spent], key: Callable[[_Spent], str]) -> tuple[CostLine, ...]:
    groups: dict[str, list[_Spent]] = {}
    for each in spent:
        groups.setdefault(key(each), []).append(each)
    lines = [_line(name, group) for name, group in groups.items()]
    return tuple(sorted(lines, key=lambda line: (-line.usd, line.key)))


def _line(key: str, spent: Iterable[_Spent]) -> CostLine:
    ends = [each.finished for each in spent]
    return CostLine(
        key,
        invocations=len(ends),
        turns=sum(end.turns for end in ends),
        usd=sum(end.cost_usd for end in ends),
        estimated_usd=sum(end.cost_usd for end in ends if end.cost_estimated),
        tokens=sum((end.tokens for end in ends), start=NO_TOKENS),
    )
