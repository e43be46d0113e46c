"""Decided events become effects, one each, under an id that no other effect has."""

from __future__ import annotations

import pytest

from orchestrate.core import effects as fx
from orchestrate.core import events as ev
from orchestrate.core.names import AttemptKey

RUN = "20260102-030405-beef"
KEY = AttemptKey(RUN, "a", 2)
EID = f"{RUN}.a.2.7"
WHO = (1.0, "a", 2, 7)

PAIRS: list[tuple[ev.DecidedAttemptEvent, tuple[fx.AnyEffect, ...]]] = [
    (ev.AttemptStarted(*WHO, ("p", "q")), (fx.PrepareWorktree(EID, KEY, ("p", "q")),)),
    (
        ev.InvocationStarted(*WHO, 3, "rework", "session", True, 60.0, 1.5, "fix it"),
        (fx.RunAgent(EID, KEY, 3, "rework", "session", True, 60.0, 1.5, "fix it"),),
    ),
    (ev.SealStarted(*WHO), (fx.SealWork(EID, KEY),)),
    (ev.ChecksStarted(*WHO, "h"), (fx.RunChecks(EID, KEY, "h"),)),
    (ev.AttemptVerified(*WHO, "h", "t"), ()),
    (ev.MergeStarted(*WHO, "h", "o"), (fx.MergeWork(EID, KEY, "h", "o"),)),
    (ev.MergeChecksStarted(*WHO, "c"), (fx.RunMergeChecks(EID, KEY, "c"),)),
    (ev.PublishStarted(*WHO, "c", "o"), (fx.PublishMerge(EID, KEY, "c", "o"),)),
    (ev.AttemptStopping(*WHO, "skipped", "w"), (fx.StopWork(EID, KEY),)),
    (ev.AttemptParked(*WHO, "w"), (fx.KeepWork(EID, KEY),)),
    (ev.AttemptEnded(*WHO, "failed"), (fx.KeepWork(EID, KEY),)),
]


@pytest.mark.parametrize(("event", "effects"), PAIRS, ids=lambda v: type(v).__name__)
def test_what_a_decision_asks_for(event: ev.DecidedAttemptEvent, effects: tuple[fx.AnyEffect, ...]) -> None:
    assert fx.effects_of(RUN, event) == effects


def test_every_decision_is_in_the_list_above() -> None:
    decided = {c for c in vars(ev).values() if isinstance(c, type) and issubclass(c, ev.DecidedAttemptEvent)}
    assert {type(event) for event, _ in PAIRS} == decided - {ev.DecidedAttemptEvent}


@pytest.mark.parametrize(
    "event",
    [ev.EngineStarted(1.0, 1), ev.FeatureSkipped(1.0, "a", "w"), ev.RunEnded(1.0, "done"), ev.EffectLost(1.0, "a", 1, "e", "w"),
     ev.WorkSealed(1.0, "a", 1, "h", "t")],
    ids=lambda e: type(e).__name__,
)  # fmt: skip
def test_what_was_observed_asks_for_nothing(event: ev.Event) -> None:
    assert fx.effects_of(RUN, event) == ()


def test_a_decision_without_an_effect_is_a_defect() -> None:
    with pytest.raises(AssertionError, match="no effect is known"):
        fx.effects_of(RUN, ev.DecidedAttemptEvent(*WHO))


def test_tokens_add_up_by_kind() -> None:
    both = ev.Tokens(1, 2, 3, 4) + ev.Tokens(10, 20, 30, 40)
    assert (both, both.total) == (ev.Tokens(11, 22, 33, 44), 110)
