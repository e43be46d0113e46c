"""List prices of models, for what an agent was stopped from accounting for. Pure.

Invariant: an unknown model is never cheap: it costs as much as the dearest one known.
"""

from __future__ import annotations

from dataclasses import dataclass

from orchestrate.core.events import Tokens


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars a million tokens."""

    input: float
    output: float
    cache_read: float
    cache_write: float


DEAREST = Price(5.0, 25.0, 0.5, 6.25)

PRICES: tuple[tuple[str, Price], ...] = (
    ("claude-opus-5", Price(4.0, 20.0, 0.2, 5.0)),
    ("claude-sonnet-5-5", Price(2.0, 10.0, 0.1, 2.5)),
    ("claude-sonnet", Price(3.0, 15.0, 0.3, 3.75)),
    ("claude-haiku", Price(1.0, 5.0, 0.1, 1.25)),
    ("claude-opus", DEAREST),
)
"""By the beginning of the model's name, first match. Opus and Sonnet: worked out from tokens and costs in the results
of Claude Code 2.1.197 and 2.1.329; Haiku: https://docs.claude.com/en/docs/about-claude/pricing"""


def price_of(model: str) -> Price:
    return next((price for start, price in PRICES if model.startswith(start)), DEAREST)


def cost_usd(model: str, tokens: Tokens) -> float:
    """US dollars at list price."""
    p = price_of(model)
    micro = (
        tokens.input * p.input
        + tokens.output * p.output
        + tokens.cache_read * p.cache_read
        + tokens.cache_write * p.cache_write
    )
    return micro / 1_000_000
