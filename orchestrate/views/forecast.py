"""How long a run will still take: what is left of the plan, at the pace seen so far.

Invariant: says what the guess rests on, and never less than the longest chain of what is unfinished.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from orchestrate.core import events as ev
from orchestrate.core.plan import Plan

ENOUGH = 2
"""Verified features from which the pace is taken; before, the estimates stand as they are."""
FRESH_S = 2.0
"""Seconds for which a guess is good: it costs a walk over the whole plan."""
_LEAST_SHARE = 0.1
"""Of its expected time, what a feature still needs that is already over it."""


@dataclass(slots=True)
class Forecast:
    """Feed it every event in order; ask left_s at any time. slots: agents at once."""

    plan: Plan
    slots: int
    _started: dict[str, float] = field(default_factory=dict)
    _finished: set[str] = field(default_factory=set)
    """Verified, or ended for good: needs no agent any more."""
    _actual_s: float = 0.0
    _expected_s: float = 0.0
    _sample: int = 0
    _guess: tuple[float, float] | None = None

    def fold(self, event: ev.Event) -> None:
        match event:
            case ev.AttemptStarted():
                self._started[event.feature] = event.at
                self._finished.discard(event.feature)
            case ev.AttemptVerified():
                self._learn(event)
                self._finished.add(event.feature)
            case ev.AttemptEnded():
                self._started.pop(event.feature, None)
                if event.retry:
                    self._finished.discard(event.feature)
                else:
                    self._finished.add(event.feature)
            case ev.FeatureSkipped() | ev.FeatureCancelled():
                self._finished.add(event.feature)
            case ev.FeatureReopened():
                self._finished.discard(event.feature)
            case ev.EngineStarted():
                # Nothing ran while there was no engine: what was under way counts from here.
                self._started = dict.fromkeys(self._started, event.at)
            case _:
                pass

    def _learn(self, event: ev.AttemptVerified) -> None:
        started, feature = self._started.get(event.feature), self.plan.features.get(event.feature)
        if started is not None and feature is not None:
            self._actual_s += event.at - started
            self._expected_s += feature.estimate.duration_s
            self._sample += 1

    @property
    def basis(self) -> str:
        """What the guess rests on, in words."""
        return f"from {self._sample} finished" if self._sample >= ENOUGH else "from the estimates"

    def left_s(self, now: float) -> float:
        """Seconds until the last feature is verified, if nothing fails."""
        if self._guess is None or not 0 <= now - self._guess[0] < FRESH_S:
            self._guess = (now, self._guess_left_s(now))
        return self._guess[1]

    def _guess_left_s(self, now: float) -> float:
        pace = self._actual_s / self._expected_s if self._sample >= ENOUGH and self._expected_s > 0 else 1.0
        work = longest = 0.0
        chain: dict[str, float] = {}
        for fid in reversed(tuple(self.plan.features)):
            own = 0.0
            if fid not in self._finished:
                expected = self.plan.features[fid].estimate.duration_s * pace
                spent = now - self._started[fid] if fid in self._started else 0.0
                own = max(expected - spent, expected * _LEAST_SHARE)
                work += own
            chain[fid] = own + max((chain[d] for d in self.plan.dependents[fid]), default=0.0)
            longest = max(longest, chain[fid])
        return max(longest, work / max(1, self.slots))
