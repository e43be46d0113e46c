"""Waits double and are bounded."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from orchestrate.core.retry import LONGEST_S, backoff_s


def test_waits_double() -> None:
    assert [backoff_s(2.0, n) for n in (1, 2, 3, 4)] == [2.0, 4.0, 8.0, 16.0]
    assert backoff_s(2.0, 0) == 2.0
    assert backoff_s(0.0, 5) == 0.0


@given(st.floats(0.001, 1000), st.integers(1, 1000))
def test_waits_never_shrink_and_never_pass_the_longest(first: float, failures: int) -> None:
    assert backoff_s(first, failures) <= backoff_s(first, failures + 1) <= LONGEST_S
