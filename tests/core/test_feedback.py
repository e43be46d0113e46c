"""What a rework is told: all that matters, and never more than fits."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from orchestrate.core import feedback
from orchestrate.core.events import CheckResult


def check(name: str, *, ok: bool = False, tail: str = "boom", timed_out: bool = False) -> CheckResult:
    return CheckResult(name, f"run {name}", ok, None if timed_out else 1, timed_out, tail=tail)


def test_each_failed_check_with_its_end_and_no_other() -> None:
    text = feedback.after_checks((check("lint"), check("types", ok=True), check("unit", timed_out=True, tail="slow")))
    assert text == (
        "Check `lint` failed (exit code 1).\nCommand: run lint\nOutput:\nboom\n\n"
        "Check `unit` failed (ran out of time).\nCommand: run unit\nOutput:\nslow"
    )


def test_a_check_that_printed_nothing_says_so_in_its_only_line() -> None:
    text = feedback.after_checks((check("lint", tail=" \n"),))
    assert text == "Check `lint` failed (exit code 1) and printed nothing: run lint"


def test_of_long_output_the_end_is_kept() -> None:
    text = feedback.after_checks((check("unit", tail="x" * 20_000 + "the cause"),))
    assert text.endswith("the cause")
    assert "Output:\n…\nxxx" in text


@given(st.lists(st.integers(0, 20_000), max_size=30))
def test_the_whole_is_bounded_and_starts_with_the_first(lengths: list[int]) -> None:
    text = feedback.after_checks(tuple(check(f"c{i}", tail="y" * n) for i, n in enumerate(lengths)))
    assert len(text) <= feedback.LIMIT
    assert text.startswith("Check `c0` failed") == bool(lengths)


def test_every_one_of_a_few_long_outputs_is_in_it() -> None:
    text = feedback.after_checks(tuple(check(f"c{i}", tail="z" * 9_000 + f"end {i}") for i in range(5)))
    assert all(f"end {i}" in text for i in range(5))


def test_no_change() -> None:
    plain = "No file differs from where you began, but this feature needs a change. Do the work in this directory."
    assert feedback.after_no_change(()) == plain
    assert feedback.after_no_change(("Write", "Bash(rm)")) == (
        f"{plain}\nYou were not permitted: Write, Bash(rm). Find another way."
    )


def test_a_breach_names_what_to_undo() -> None:
    text = feedback.after_breach(tuple(f"f{i}" for i in range(30)), ("src/**", "*.md"))
    assert text.startswith("You changed files outside of what this feature may touch (src/**, *.md):\n- f0\n")
    assert text.endswith("\n- f19\nUndo these changes and keep the rest.")


def test_names_of_what_failed() -> None:
    assert feedback.failed_names((check("a"), check("b", ok=True), check("c"))) == "a, c"
