"""Money and the account's limits as values: fold outcomes in, ask for admission. No clock inside.

Invariant: what is spent plus what is reserved never exceeds the cap by a decision of ours; an agent may overshoot its
allowance by one call, which its own figure then shows.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from . import events as ev


@dataclass(frozen=True, slots=True)
class Go:
    """allowance_usd: what this invocation may spend; None: no limit."""

    allowance_usd: float | None = None


@dataclass(frozen=True, slots=True)
class WaitUntil:
    """at: Unix seconds; inf: until something else happens."""

    at: float
    why: str


@dataclass(frozen=True, slots=True)
class Never:
    why: str


Admission = Go | WaitUntil | Never

CENT = 0.01
"""An allowance below this buys nothing, and agents refuse zero."""


@dataclass(slots=True)
class Ledger:
    """US dollars of the run. reserved: allowances of the invocations under way."""

    spent_usd: float = 0.0
    reserved_usd: float = 0.0

    def reserve(self, amount: float) -> None:
        self.reserved_usd += amount

    def settle(self, reserved: float, spent: float) -> None:
        self.reserved_usd = max(0.0, self.reserved_usd - reserved)
        self.spent_usd += spent


@dataclass(slots=True)
class Account:
    """What the agents' service said of the account: until when nothing may start, and whether a person is needed."""

    paused_until: float = 0.0
    pauses: int = 0
    """Usage limits in a row whose reset time was not told."""
    met: int = 0
    """Usage limits since anything succeeded that were met after the time at which the one before was to end."""
    refused: str = ""

    def observe(self, e: ev.InvocationFinished) -> None:
        match e.end:
            case "limit" if e.resets_at is not None and e.resets_at > e.at:
                if e.at >= self.paused_until:  # else it ran into the limit that is being waited for
                    doubt_s = min(LONGEST_DOUBT_S, DOUBT_S * 2 ** (self.met - 1)) if self.met else 0.0
                    self.paused_until = e.at + doubt_s
                    self.met += 1
                self.paused_until = max(self.paused_until, min(e.resets_at, e.at + MAX_PAUSE_S))
                self.pauses = 0
            case "limit" if e.at >= self.paused_until:
                self.paused_until = e.at + BLIND_PAUSES_S[min(self.pauses, 2)]
                self.pauses += 1
            case "auth":
                self.refused = e.why or "the agent is not signed in"
            case "done" | "denied" | "incomplete":
                self.pauses = self.met = 0
            case _:
                pass


MAX_PAUSE_S = 8 * 86400.0
"""No known limit lasts longer than a week; a later reset time is taken for a mistake."""

DOUBT_S, LONGEST_DOUBT_S = 60.0, 3600.0
"""Least pause once a told reset time has come and the limit was still there, seconds: doubles each time. Each time costs
one more invocation."""

BLIND_PAUSES_S = (900.0, 1800.0, 3600.0)
"""Pauses after a usage limit that does not say when it ends."""


def admit(
    ledger: Ledger,
    account: Account,
    *,
    now: float,
    run_cap_usd: float | None,
    feature_left_usd: float | None,
    free_slots: int,
) -> Admission:
    """May an invocation start now, and how much may it spend? What is left of the run is shared among the free slots."""
    if account.refused:
        return Never(account.refused)
    if feature_left_usd is not None and feature_left_usd < CENT:
        return Never("the feature's cost limit is spent")
    if account.paused_until > now:
        return WaitUntil(account.paused_until, "usage limit")
    if run_cap_usd is None:
        return Go(feature_left_usd)
    left = run_cap_usd - ledger.spent_usd - ledger.reserved_usd
    share = left / max(1, free_slots)
    if share < CENT:
        share = left  # crumbs are not worth sharing
    if share < CENT:
        if ledger.reserved_usd >= CENT / 2:  # no allowance is smaller: less is a rounding error
            return WaitUntil(inf, "cost limit: all of it is reserved by running agents")
        rest = "; less than a cent is left" if ledger.spent_usd < run_cap_usd else ""
        return Never(f"the cost limit of ${run_cap_usd:.2f} is spent (${ledger.spent_usd:.2f}{rest})")
    return Go(share if feature_left_usd is None else min(share, feature_left_usd))
