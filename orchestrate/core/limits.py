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
    unreached: int = 0
    """Invocations in a row, of whatever feature, that failed without a single token: nobody is there."""
    unreached_since: float = 0.0
    probes: int = 0
    """Of those, the ones that were made to see whether somebody is there again."""
    probe_at: float = 0.0
    """Before that, nobody tries. Unix seconds."""
    reached: bool = False
    """Somebody was there once in this run."""

    @property
    def away_limit_s(self) -> float:
        """How long to wait for the service: one that was never there may be a mistake of the settings."""
        return AWAY_LIMIT_S if self.reached else NEVER_THERE_LIMIT_S

    @property
    def is_away(self) -> bool:
        """The service cannot be reached, as far as is known."""
        return self.unreached >= AWAY_AFTER

    @property
    def closed_until(self) -> float:
        """Nothing is started before, for whatever reason. Unix seconds."""
        return max(self.paused_until, self.probe_at) if self.is_away else self.paused_until

    def observe(self, e: ev.InvocationFinished) -> None:
        self.reached = self.reached or e.tokens.total > 0 or e.end in ("done", "denied", "incomplete")
        if is_unreached(e):
            self._miss(e.at)
        elif e.end not in ("interrupted", "killed", "config", "stalled", "timed_out", "crashed"):
            self.unreached = self.probes = 0
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

    def hear(self, e: ev.InvocationProgressed) -> None:
        """An agent that is being answered tells more than its end, which may be half an hour away."""
        if self.unreached and e.tokens.total:
            self.unreached = self.probes = 0

    def _miss(self, at: float) -> None:
        self.unreached += 1
        if self.unreached == 1:
            self.unreached_since = at
        if self.is_away and at >= self.probe_at:  # else it had begun before the pause, and says nothing new
            self.probe_at = at + min(LONGEST_PROBE_S, FIRST_PROBE_S * 2**self.probes)
            self.probes += 1


def is_unreached(e: ev.InvocationFinished) -> bool:
    """The service failed before it had said anything: the network is away, or the service is."""
    return e.end == "transient" and e.tokens.total == 0 and e.cost_usd == 0


AWAY_AFTER = 3
"""Invocations in a row that reach nobody until the service is held to be away."""
FIRST_PROBE_S, LONGEST_PROBE_S = 15.0, 300.0
"""Pause before one agent tries whether the service is there again, seconds: doubles each time."""
AWAY_LIMIT_S = 12 * 3600.0
"""After so long without anybody there, the run ends; it can be gone on with."""
NEVER_THERE_LIMIT_S = 900.0
"""The same where nobody has been there since the run began."""

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
    running: int,
    slots: int,
) -> Admission:
    """May an invocation start now, and how much may it spend? What is left of the run is shared among the free slots.
    running: invocations under way."""
    if account.refused:
        return Never(account.refused)
    if account.is_away and now - account.unreached_since >= account.away_limit_s:
        return Never(f"the agent's service could not be reached for {account.away_limit_s / 60:.0f} minutes")
    if feature_left_usd is not None and feature_left_usd < CENT:
        return Never("the feature's cost limit is spent")
    if account.paused_until > now:
        return WaitUntil(account.paused_until, "usage limit")
    if account.is_away and account.probe_at > now:
        return WaitUntil(account.probe_at, "the agent's service cannot be reached")
    if account.is_away and running:
        return WaitUntil(inf, "one agent tries whether its service can be reached")
    if run_cap_usd is None:
        return Go(feature_left_usd)
    left = run_cap_usd - ledger.spent_usd - ledger.reserved_usd
    share = left / max(1, slots - running)
    if share < CENT:
        share = left  # crumbs are not worth sharing
    if share < CENT:
        if ledger.reserved_usd >= CENT / 2:  # no allowance is smaller: less is a rounding error
            return WaitUntil(inf, "cost limit: all of it is reserved by running agents")
        rest = "; less than a cent is left" if ledger.spent_usd < run_cap_usd else ""
        return Never(f"the cost limit of ${run_cap_usd:.2f} is spent (${ledger.spent_usd:.2f}{rest})")
    return Go(share if feature_left_usd is None else min(share, feature_left_usd))
