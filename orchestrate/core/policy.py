"""The operator's figures that rules look at; may differ from one engine of a run to the next."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Policy:
    """max_parallel: slots for attempts. max_cost_usd: cap of the run; None: none. Durations in seconds."""

    max_parallel: int = 3
    max_cost_usd: float | None = None
    retry_backoff_s: float = 10.0
