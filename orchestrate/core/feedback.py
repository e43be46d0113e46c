"""What a rework is told: the failing output, bounded. Pure text."""

from __future__ import annotations

from collections.abc import Sequence

from . import events as ev

LIMIT = 8000
"""Characters of feedback in one prompt."""


def after_checks(checks: tuple[ev.CheckResult, ...]) -> str:
    """The failed checks with the end of their output."""
    failed = [c for c in checks if not c.ok]
    share = max(400, LIMIT // max(1, len(failed)) - 200)
    parts = []
    for check in failed:
        how = "ran out of time" if check.timed_out else f"exit code {check.exit_code}"
        if not check.tail.strip():
            parts.append(f"Check `{check.name}` failed ({how}) and printed nothing: {check.command}")
            continue
        parts.append(
            f"Check `{check.name}` failed ({how}).\nCommand: {check.command}\nOutput:\n{_end(check.tail, share)}"
        )
    return "\n\n".join(parts)[:LIMIT]


def after_no_change(denials: tuple[str, ...]) -> str:
    """The agent said that it is done, but nothing differs from where it began."""
    text = "No file differs from where you began, but this feature needs a change. Do the work in this directory."
    return f"{text}\nYou were not permitted: {', '.join(denials[:10])}. Find another way." if denials else text


def after_breach(paths: tuple[str, ...], allowed: tuple[str, ...]) -> str:
    """Files were changed that this feature may not touch."""
    return (
        f"You changed files outside of what this feature may touch ({', '.join(allowed)}):\n"
        + "\n".join(f"- {p}" for p in paths[:20])
        + "\nUndo these changes and keep the rest."
    )


def with_answers(text: str, answers: Sequence[str]) -> str:
    """What the agent is told besides: words of people, as they were given. Bounded by LIMIT each."""
    said = [f"A person answers:\n{answer[:LIMIT]}" for answer in answers]
    return "\n\n".join([text, *said] if text else said)


def failed_names(checks: tuple[ev.CheckResult, ...]) -> str:
    """`unit, lint` for the reason of a failure."""
    return ", ".join(c.name for c in checks if not c.ok)


def _end(text: str, limit: int) -> str:
    return text if len(text) <= limit else "…\n" + text[-limit:]
