"""How a Claude Code process ended, judged from its last result, its exit and what we did to it. Pure.

Invariant: `is_error` comes before the subtype ("success" with is_error is a failure of the service), fields come
before words (words change with every release), and only a clean result is `done`.
"""

from __future__ import annotations

import signal

from orchestrate.core.events import InvocationEnd

from .codec import BY_US, Ending, ExitInfo
from .transcript import SAID_LIMIT, Failed, ResultSeen, Transcript, one_line

_LOST_SESSION = ("No conversation found with session ID", "is already in use")
_AUTH = frozenset({"authentication_failed", "billing_error", "oauth_org_not_allowed", "permission_error"})
_CONFIG = frozenset({"model_not_found", "invalid_request", "unknown"})
_NEEDS_PERSON = ("enforced_spend_limit_reached", "spend limit", "credit balance")


def classify(transcript: Transcript, exit_info: ExitInfo) -> Ending:
    """Everything that is known of the invocation, under the word for its end."""
    end, why = _end(transcript, exit_info)
    lost = end == "crashed" and any(words in why for words in _LOST_SESSION)
    rejected = transcript.limit
    said = transcript.result.text if transcript.result and transcript.result.text else transcript.said
    return Ending(
        end=end,
        why=one_line(why, 400),
        said=said[:SAID_LIMIT],
        cost_usd=transcript.cost_usd,
        cost_estimated=transcript.is_estimated,
        tokens=transcript.tokens,
        turns=transcript.turns or transcript.messages,
        denials=tuple(transcript.denials),
        resets_at=rejected.resets_at if end == "limit" and rejected else None,
        session=transcript.session or (transcript.result.session if transcript.result else ""),
        session_lost=lost,
        model=transcript.model,
    )


def _end(transcript: Transcript, exit_info: ExitInfo) -> tuple[InvocationEnd, str]:
    result = transcript.result
    end, why = _of_result(transcript, result) if result else _of_exit(transcript, exit_info)
    # What it had reached before we stepped in stands; what our stepping in broke is ours.
    if exit_info.ended_by_us and end in ("crashed", "killed", "transient"):
        return BY_US[exit_info.ended_by_us]
    if exit_info.ended_by_us and not result:
        return BY_US[exit_info.ended_by_us]
    return end, why


def _of_result(transcript: Transcript, result: ResultSeen) -> tuple[InvocationEnd, str]:
    if not result.is_error:
        if transcript.denials:
            return "denied", f"was not permitted: {', '.join(dict.fromkeys(transcript.denials))}"
        return "done", ""
    why = result.text or "; ".join(result.errors) or result.subtype
    match result.subtype:
        case "error_max_turns":
            return "incomplete", why or "reached its maximum number of turns"
        case "error_max_budget_usd":
            return "incomplete", why or "reached its maximum cost"
        case "error_max_structured_output_retries":
            return "incomplete", why
        case "success":
            return _of_failure(transcript, result, why)
        case _ if result.terminal_reason.startswith("aborted"):
            if transcript.denials:
                return "denied", f"was not permitted: {', '.join(dict.fromkeys(transcript.denials))}"
            return "killed", "interrupted by somebody else"
        case _:
            return "crashed", why


def _of_failure(transcript: Transcript, result: ResultSeen, why: str) -> tuple[InvocationEnd, str]:
    """The service refused or failed, and the agent gave up."""
    failed = transcript.failed or Failed("", "", 0, "")
    status = result.status or failed.status
    code = result.code or failed.code
    if failed.category in _AUTH or status in (401, 402, 403) or any(w in why.lower() for w in _NEEDS_PERSON):
        return "auth", why
    if status == 429 or failed.category == "rate_limit":
        # A wait too long for the agent to sit out is a limit of the account; what it retried in vain is a crowd.
        is_limit = transcript.limit is not None or code == "usage_limit_reached" or transcript.retries == 0
        return ("limit" if is_limit else "transient"), why
    if failed.category == "max_output_tokens":
        return "incomplete", why
    if result.stop_reason == "refusal":
        return "crashed", why
    if status >= 500 or status == 408 or failed.category in ("server_error", "overloaded"):
        return "transient", why
    if status in (400, 404, 413, 422) or failed.category in _CONFIG - {"unknown"}:
        return "config", why
    return "transient", why


def _of_exit(transcript: Transcript, exit_info: ExitInfo) -> tuple[InvocationEnd, str]:
    """No result at all."""
    code, stderr = exit_info.exit_code, exit_info.stderr_tail.strip()
    if transcript.limit is not None:
        return "limit", "a usage limit of the account was reached"
    name = signal_name(code)
    if name:
        return "killed", f"ended by {name}"
    last_words = one_line(stderr.splitlines()[-1], 400) if stderr else ""
    if any(words in stderr for words in _LOST_SESSION):
        return "crashed", one_line(next(ln for ln in stderr.splitlines() if any(w in ln for w in _LOST_SESSION)), 400)
    if transcript.events == 0 and code != 0 and last_words:
        return "config", last_words
    if code in (126, 127):
        return "config", last_words or "the program could not be run"
    return "crashed", f"ended without a result (exit code {code})" + (f": {last_words}" if last_words else "")


def signal_name(exit_code: int) -> str:
    """The signal that an exit code stands for: -9, or 143 as a shell would put it; empty: none."""
    number = -exit_code if exit_code < 0 else exit_code - 128
    if exit_code >= 0 and number not in (1, 2, 3, 6, 9, 11, 13, 14, 15):
        return ""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
