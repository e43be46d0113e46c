"""Admission, the ledger and what is learnt of the account."""

from __future__ import annotations

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from orchestrate.core import events as ev
from orchestrate.core.limits import (
    AWAY_AFTER,
    BLIND_PAUSES_S,
    CENT,
    FIRST_PROBE_S,
    MAX_PAUSE_S,
    Account,
    Go,
    Ledger,
    Never,
    WaitUntil,
    admit,
)

NOW = 1000.0


def ask(
    ledger: Ledger | None = None,
    account: Account | None = None,
    *,
    cap: float | None = None,
    feature_left: float | None = None,
    slots: int = 1,
) -> Go | WaitUntil | Never:
    return admit(
        ledger or Ledger(),
        account or Account(),
        now=NOW,
        run_cap_usd=cap,
        feature_left_usd=feature_left,
        running=0,
        slots=slots,
    )


def finished(
    end: ev.InvocationEnd, at: float = NOW, *, why: str = "", resets_at: float | None = None
) -> ev.InvocationFinished:
    return ev.InvocationFinished(at, "a", 1, 1, end, why, resets_at=resets_at)


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        ({}, Go(None)),
        ({"feature_left": 2.0}, Go(2.0)),
        ({"feature_left": CENT}, Go(CENT)),
        ({"feature_left": CENT / 2}, Never("the feature's cost limit is spent")),
        ({"cap": 6.0, "slots": 3}, Go(2.0)),
        ({"cap": 6.0, "slots": 0}, Go(6.0)),
        ({"cap": 6.0, "slots": 3, "feature_left": 1.0}, Go(1.0)),
        ({"cap": 6.0, "slots": 3, "feature_left": 5.0}, Go(2.0)),
        ({"cap": 0.02, "slots": 8}, Go(0.02)),
        ({"cap": 6.0, "ledger": Ledger(3.0, 1.0), "slots": 2}, Go(1.0)),
        (
            {"cap": 6.0, "ledger": Ledger(3.0, 3.0)},
            WaitUntil(inf, "cost limit: all of it is reserved by running agents"),
        ),
        ({"cap": 6.0, "ledger": Ledger(6.5, 0.0)}, Never("the cost limit of $6.00 is spent ($6.50)")),
        (
            {"cap": 6.0, "ledger": Ledger(5.995, 0.0)},
            Never("the cost limit of $6.00 is spent ($6.00; less than a cent is left)"),
        ),
        ({"cap": 6.0, "ledger": Ledger(6.0, 3e-17)}, Never("the cost limit of $6.00 is spent ($6.00)")),
        ({"account": Account(paused_until=NOW + 5)}, WaitUntil(NOW + 5, "usage limit")),
        ({"account": Account(paused_until=NOW)}, Go(None)),
        ({"account": Account(paused_until=NOW + 5, refused="sign in")}, Never("sign in")),
    ],
)
def test_admission(asked: dict[str, object], answer: object) -> None:
    assert ask(**asked) == answer  # type: ignore[arg-type]


@given(st.floats(0, 100), st.floats(0, 100), st.floats(0.01, 100), st.none() | st.floats(0, 10), st.integers(0, 9))
def test_an_allowance_never_goes_beyond_what_is_left(
    spent: float, reserved: float, cap: float, feature_left: float | None, slots: int
) -> None:
    answer = ask(Ledger(spent, reserved), cap=cap, feature_left=feature_left, slots=slots)
    if isinstance(answer, Go):
        assert answer.allowance_usd is not None
        assert CENT <= answer.allowance_usd <= cap - spent - reserved
        assert feature_left is None or answer.allowance_usd <= feature_left


class Spending(RuleBasedStateMachine):
    """Agents start and end in any order and spend at most their allowance: the cap holds, and at rest nothing is reserved."""

    def __init__(self) -> None:
        super().__init__()
        self.ledger = Ledger()
        self.running: list[float] = []

    @rule(slots=st.integers(1, 8))
    def start(self, slots: int) -> None:
        answer = ask(self.ledger, cap=10.0, slots=slots)
        if isinstance(answer, Go):
            assert answer.allowance_usd is not None
            self.ledger.reserve(answer.allowance_usd)
            self.running.append(answer.allowance_usd)
        else:
            assert isinstance(answer, WaitUntil) == bool(self.running)

    @rule(part=st.floats(0, 1), which=st.randoms(use_true_random=False))
    def end(self, part: float, which: object) -> None:
        if self.running:
            allowance = self.running.pop(which.randrange(len(self.running)))  # type: ignore[attr-defined]
            self.ledger.settle(allowance, allowance * part)

    @invariant()
    def the_cap_holds(self) -> None:
        assert self.ledger.spent_usd + self.ledger.reserved_usd <= 10.0 + 1e-9
        assert abs(self.ledger.reserved_usd - sum(self.running)) < 1e-9


TestSpending = Spending.TestCase


def test_a_reset_time_is_believed_up_to_a_week_and_a_day() -> None:
    account = Account()
    account.observe(finished("limit", resets_at=NOW + 60))
    assert account.paused_until == NOW + 60
    account.observe(finished("limit", resets_at=NOW + 30))
    assert account.paused_until == NOW + 60
    account.observe(finished("limit", resets_at=NOW + 10**9))
    assert account.paused_until == NOW + MAX_PAUSE_S


def test_a_reset_time_that_proves_wrong_again_and_again_is_believed_less_and_less() -> None:
    account, at, waits = Account(), NOW, []
    for _ in range(9):
        account.observe(finished("limit", at, resets_at=at + 1))
        waits.append(account.paused_until - at)
        at = account.paused_until
    assert waits == [1, 60, 120, 240, 480, 960, 1920, 3600, 3600]
    account.observe(finished("done", at))
    account.observe(finished("limit", at, resets_at=at + 1))
    assert account.paused_until == at + 1


def test_agents_that_run_into_one_limit_together_are_no_reason_for_doubt() -> None:
    account = Account()
    for seconds in (0, 1, 2):
        account.observe(finished("limit", NOW + seconds, resets_at=NOW + 5))
    assert account.paused_until == NOW + 5
    account.observe(finished("limit", NOW + 5, resets_at=NOW + 90_000))
    assert account.paused_until == NOW + 90_000


def test_blind_pauses_grow_until_work_succeeds() -> None:
    account, at = Account(), NOW
    for pause in (*BLIND_PAUSES_S, BLIND_PAUSES_S[-1]):
        account.observe(finished("limit", at))
        assert account.paused_until == at + pause
        at = account.paused_until
    account.observe(finished("done", at))
    account.observe(finished("limit", at))
    assert account.paused_until == at + BLIND_PAUSES_S[0]


def test_one_limit_met_by_many_is_one_pause() -> None:
    account = Account()
    for seconds in (0, 1, 2):
        account.observe(finished("limit", NOW + seconds))
    assert (account.paused_until, account.pauses) == (NOW + BLIND_PAUSES_S[0], 1)


@pytest.mark.parametrize("resets_at", [NOW, NOW - 1, 0.0])
def test_a_reset_time_in_the_past_is_none(resets_at: float) -> None:
    account = Account()
    account.observe(finished("limit", resets_at=resets_at))
    assert account.paused_until == NOW + BLIND_PAUSES_S[0]


def test_an_account_that_needs_a_person() -> None:
    account = Account()
    account.observe(finished("auth"))
    assert account.refused == "the agent is not signed in"
    account.observe(finished("auth", why="credit balance too low"))
    assert account.refused == "credit balance too low"


def nobody(at: float) -> ev.InvocationFinished:
    return finished("transient", at)


def test_a_service_is_away_after_three_calls_that_reached_nobody() -> None:
    account = Account()
    for count in range(1, AWAY_AFTER + 1):
        assert not account.is_away
        account.observe(nobody(NOW + count))
    assert account.is_away and account.probe_at == NOW + AWAY_AFTER + FIRST_PROBE_S
    account.observe(nobody(NOW + AWAY_AFTER + 1))
    assert account.probe_at == NOW + AWAY_AFTER + FIRST_PROBE_S, "it had begun before the pause"


def test_only_one_asks_whether_the_service_is_there_again() -> None:
    account = Account(unreached=AWAY_AFTER, unreached_since=NOW)
    assert admit(Ledger(), account, now=NOW, run_cap_usd=None, feature_left_usd=None, running=0, slots=3) == Go()
    answer = admit(Ledger(), account, now=NOW, run_cap_usd=None, feature_left_usd=None, running=1, slots=3)
    assert isinstance(answer, WaitUntil) and answer.at == inf


@pytest.mark.parametrize("end", ["done", "limit", "incomplete", "auth", "denied"])
def test_an_answer_of_whatever_kind_says_that_it_is_there(end: ev.InvocationEnd) -> None:
    account = Account(unreached=AWAY_AFTER)
    account.observe(finished(end))
    assert not account.is_away


@pytest.mark.parametrize("end", ["interrupted", "killed", "config", "stalled", "timed_out", "crashed"])
def test_what_happens_here_says_nothing_of_the_service(end: ev.InvocationEnd) -> None:
    account = Account(unreached=AWAY_AFTER)
    account.observe(finished(end))
    assert account.is_away


def test_tokens_are_a_sign_of_life() -> None:
    account = Account()
    for _ in range(AWAY_AFTER):
        account.observe(ev.InvocationFinished(NOW, "a", 1, 1, "transient", tokens=ev.Tokens(1)))
    assert not account.is_away
    account.unreached = AWAY_AFTER
    account.hear(ev.InvocationProgressed(NOW, "a", 1, 1))
    assert account.is_away
    account.hear(ev.InvocationProgressed(NOW, "a", 1, 1, tokens=ev.Tokens(1)))
    assert not account.is_away


def test_a_usage_limit_that_is_met_while_the_service_was_away_is_a_pause_of_its_own() -> None:
    account = Account(unreached=AWAY_AFTER, probe_at=NOW + 300.0)
    account.observe(finished("limit"))
    assert account.paused_until == NOW + BLIND_PAUSES_S[0]
