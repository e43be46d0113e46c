"""How long to wait before trying again, and how often. Deterministic: no jitter is needed where one engine decides."""

from __future__ import annotations

TRANSIENT_LIMIT = 6
"""Failures of the service in a row, in one session, before the attempt is given up (about four minutes of waiting)."""

BREAKDOWN_LIMIT = 2
"""Crashes, foreign kills or stalls in a row, in one attempt, before it is given up."""

TROUBLE_LIMIT = 12
"""Invocations of one attempt that went wrong in whatever way and order, before it is given up."""

LOSS_LIMIT = 2
"""Lost effects of one attempt before it is given up."""

MERGE_LIMIT = 5
"""Times an attempt is merged again because somebody else moved the integration branch."""

LONGEST_S = 300.0


def backoff_s(first_s: float, failures: int) -> float:
    """Seconds to wait after that many failures in a row (1, 2, …): doubles each time, at most five minutes."""
    return float(min(LONGEST_S, first_s * 2 ** max(0, failures - 1)))
