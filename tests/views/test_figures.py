"""Figures as people read them."""

from __future__ import annotations

import pytest

from orchestrate.views.figures import (
    count_of,
    first_line,
    last_line,
    render_duration,
    render_money,
    render_rough_duration,
    render_size,
    render_tokens,
    shorten,
    to_ascii,
)


@pytest.mark.parametrize(
    ("seconds", "shown"), [(-3.0, "0:00"), (7.9, "0:07"), (725.0, "12:05"), (3723.0, "1:02:03"), (90_000.0, "25:00:00")]
)
def test_durations(seconds: float, shown: str) -> None:
    assert render_duration(seconds) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.0, "~10 s"), (44.0, "~40 s"), (89.0, "~1 min"), (540.0, "~9 min"), (3600.0, "~1 h"), (7900.0, "~2 h 10 min")],
)
def test_guesses_are_no_finer_than_they_deserve(seconds: float, shown: str) -> None:
    assert render_rough_duration(seconds) == shown


def test_money() -> None:
    assert [render_money(usd) for usd in (0.0, 0.004, 0.005, 0.42, 1234.5)] == [
        "$0.00", "<$0.01", "$0.01", "$0.42", "$1,234.50",
    ]  # fmt: skip
    assert render_money(0.42, estimated=True) == "~$0.42"


def test_tokens() -> None:
    counts = (0, 999, 1000, 9_949, 9_950, 87_400, 999_499, 999_500, 1_250_000, 100_000_000)
    assert [render_tokens(count) for count in counts] == [
        "0", "999", "1.0k", "9.9k", "10k", "87k", "999k", "1.0M", "1.2M", "100M",
    ]  # fmt: skip


def test_sizes() -> None:
    sizes = (0, 999, 1000, 9_949, 9_950, 999_499, 1_000_000, 12_000_000, 3_400_000_000, 5_000_000_000_000)
    assert [render_size(size) for size in sizes] == [
        "0 B", "999 B", "1.0 kB", "9.9 kB", "10 kB", "999 kB", "1.0 MB", "12 MB", "3.4 GB", "5000 GB",
    ]  # fmt: skip


def test_words() -> None:
    assert (count_of(1, "check"), count_of(2, "check"), count_of(0, "try", "tries")) == (
        "1 check",
        "2 checks",
        "0 tries",
    )
    assert (first_line("\n  a \nb\n"), last_line("a\n b \n\n"), first_line(""), last_line(" \n")) == ("a", "b", "", "")
    assert (shorten("abcdef", 6), shorten("abc def", 5), first_line("abcdef", 3)) == ("abcdef", "abc…", "ab…")


def test_ascii_is_sign_for_sign() -> None:
    assert to_ascii("✓ ✗ ◐ ● ○ ⊘ … · → é") == "+ x o * . - ~ - > ?"
    assert to_ascii("plain") == "plain"
