"""A run in a few sentences: how it stands, what went wrong, what to type next; and the same as a JSON document. Pure.

Invariant: every feature that was not integrated is accounted for, and every command named here can be pasted.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from typing import Any

from orchestrate.core import events as ev
from orchestrate.core.names import AttemptKey, checkpoint_ref
from orchestrate.views.attempts import AttemptView
from orchestrate.views.controls import (
    Pause,
    Request,
    by_words,
    hold_words,
    on_words,
    pause_words,
    request_words,
    stopping_words,
)
from orchestrate.views.figures import count_of, first_line, render_duration, render_money
from orchestrate.views.reasons import account_words
from orchestrate.views.report_model import NextStep
from orchestrate.views.rows import LOOKS, is_cut_off, last_words, reason_of
from orchestrate.views.run import ENDED, RunView

STATUS_SCHEMA = "orchestrate/status/v1"

_VERBS: dict[str, str] = {
    "running": "is running",
    "done": "is done",
    "incomplete": "ended",
    "limit": "was stopped by a limit",
    "interrupted": "was interrupted",
    "halted": "was halted: the account needs a person",
}


def elapsed_s(view: RunView, now: float) -> float:
    """Seconds in which an engine drove the run."""
    if not view.run:
        return 0.0
    return max(0.0, (now if view.ended_at is None else view.ended_at) - view.started_at - view.down_s)


def headline(view: RunView, now: float, *, is_driven: bool) -> str:
    """`run … is done: 5 of 6 features integrated in 6:42 for $4.21`. is_driven: an engine is at it right now.

    A run that has not ended and that nobody drives broke off; its time is known up to its last event.
    """
    broke_off = view.status == "running" and not is_driven
    verb = "broke off" if broke_off else _VERBS[view.status]
    if view.status == "running" and view.stop and not broke_off:
        verb = "is stopping"
    elif view.status == "running" and view.holds:
        verb = f"{'broke off' if broke_off else 'stands still'} ({hold_words(view.holds)})"
    elif view.status == "running" and (away := account_words(view.account, now)):
        verb += f" but starts nothing ({away})"
    live_usd = view.live_cost_usd
    spent = render_money(view.cost_usd + live_usd, estimated=view.cost_estimated) + (" so far" if live_usd else "")
    took = render_duration(elapsed_s(view, view.last_at if broke_off else now))
    done, total = view.count("integrated"), len(view.features)
    why = f" ({first_line(view.why)})" if view.why and view.status != "incomplete" else ""
    return f"run {view.run} {verb}{why}: {done} of {count_of(total, 'feature')} integrated in {took} for {spent}"


def troubles(view: RunView) -> list[tuple[str, str, str]]:
    """(feature, word, why) of what was not integrated and will not be, in plan order; skipped ones not included."""
    bad = ("failed", "conflicted", "no_changes", "cancelled")
    return [
        (feature.id, LOOKS[feature.status].word, reason_of(view, feature))
        for feature in view.features.values()
        if feature.status in bad
    ]


def next_steps(view: RunView, *, is_driven: bool | None, named: bool = False) -> tuple[NextStep, ...]:
    """What a person most likely types now, best first. is_driven: an engine is at it right now; None: not known. named: the
    commands say which run, as it is not the newest."""
    at = f" --run {view.run}" if named else ""
    if view.status == "running" and is_driven is not False:
        return tuple(_while_it_goes_on(view, is_driven, f" {view.run}" if named else "", at))
    resume = NextStep(f"orchestrate resume{f' {view.run}' if named else ''}", "go on with what is unfinished")
    if view.status == "halted":
        return (NextStep("orchestrate doctor", "see what is wrong with the agent's account"), resume)
    if view.status in ("running", "interrupted", "limit"):
        return (resume,)
    integrated = view.count("integrated")
    take_over = NextStep(f"git merge {view.integration_branch}", f"take over {count_of(integrated, 'feature')}")
    merge = (take_over,) if integrated else ()
    if view.status == "done":
        return (*merge, NextStep("orchestrate cleanup --merged", "remove worktrees and branches that are merged"))
    failed = [
        NextStep(f"orchestrate logs {fid}{at}", f"see why {_what_became_of(view, fid)}") for fid, *_ in troubles(view)
    ]
    again = NextStep(f"orchestrate retry{at}", "try again what was not integrated, on the same branch")
    kept = dict.fromkeys(
        attempt.feature for attempt in kept_attempts(view) if view.features[attempt.feature].status in ENDED
    )
    recover = NextStep(f"orchestrate recover{at}", f"see what is kept of {_listed(tuple(kept))}")
    return (*failed[:1], *merge, again, *((recover,) if kept else ()))


def _while_it_goes_on(view: RunView, is_driven: bool | None, which: str, at: str) -> Iterator[NextStep]:
    """which, at: the run, as an argument and as an option; empty for the newest."""
    if is_driven is None:
        yield NextStep(f"orchestrate status{which}", "see how it goes on")
        return
    causes = [pause.cause for pause in view.holds.open]
    if view.stop:
        causes = []  # what holds it is not what it waits for
    if view.stop == "drain":
        yield NextStep(f"orchestrate stop{which} --now", "end the agents now; their work is kept")
    if "operator" in causes:
        yield NextStep(f"orchestrate resume{which}", "go on")
    if "disk" in causes:
        yield NextStep("orchestrate cleanup --merged", "make room; the run then goes on by itself")
    busy = next((fid for fid in view.active if view.features[fid].status == "working"), "")
    if busy:
        yield NextStep(f"orchestrate logs {busy} -f{at}", f"see what the agent of {busy} does")


# ── what is kept ─────────────────────────────────────────────────────────────────────────────────────────────────


def kept_attempts(view: RunView) -> tuple[AttemptView, ...]:
    """Attempts whose work is in no integration branch and not lost either, in plan order."""
    return tuple(
        attempt
        for feature in view.features.values()
        if feature.status != "integrated"
        for attempt in feature.attempts
        if attempt.has_work
    )


def kept_ref(view: RunView, attempt: AttemptView) -> str:
    """Where the newest state of the attempt's work lies, whatever becomes of its worktree and branch."""
    return checkpoint_ref(AttemptKey(view.run, attempt.feature, attempt.number))


def worktrees_at_work(view: RunView) -> tuple[str, ...]:
    """Paths of the worktrees in which unfinished attempts stand."""
    begun = (view.features[fid].attempts[-1] for fid in view.active)
    return tuple(attempt.path for attempt in begun if attempt.path)


def facts(view: RunView, now: float, *, is_driven: bool, gone: Container[str] = frozenset()) -> list[tuple[str, str]]:
    """(name, words) of what a run that has not ended waits for, and of what is kept meanwhile. gone: of worktrees_at_work,
    those that are not there any more."""
    told = []
    if is_driven and view.stopped is not None:
        told.append(("stop", stopping_words(view.stopped, view.stop)))
    for pause in open_pauses(view):
        since = f", {render_duration(now - pause.since)} ago" if is_driven else ""
        told.append(("held", f"{pause_words(pause, whole=True)}{since}; {on_words(pause)}"))
    if is_driven:
        return told
    begun = [attempt for fid in view.active if (attempt := view.features[fid].attempts[-1]).path]
    there = [attempt for attempt in begun if attempt.path not in gone]
    if there:
        places = dict.fromkeys(attempt.path.rpartition("/")[0] for attempt in there)
        names = _listed(tuple(attempt.feature for attempt in there))
        told.append(("kept", f"{names}: all work and the agents' sessions, in {' and '.join(places)}"))
    if lost := [attempt.feature for attempt in begun if attempt.path in gone]:
        told.append(("kept", f"{_listed(lost)}: what was saved of it; the worktree is gone, and resume makes it again"))
    return told


def open_pauses(view: RunView) -> Sequence[Pause]:
    """Those that something still waits for: of a run that is over nothing does."""
    return () if view.status in ("done", "incomplete") else view.holds.open


def end_line(view: RunView, *, named: bool) -> str:
    """What is said at the end of a log that nobody goes on with now: that its engine died, or how the run was left; and the
    command that goes on. named: it says which run."""
    way_on = f"go on with: orchestrate resume{f' {view.run}' if named else ''}"
    if view.status == "running":
        return f"broken off: its engine is gone; {way_on}"
    why = f" ({first_line(view.why)})" if view.why else ""
    return f"the run {_VERBS[view.status].partition(':')[0]}{why}; {way_on}"


def pending_words(request: Request) -> str:
    """What was asked of a run and has not reached it yet."""
    return f"{request_words(request).text}; not taken up yet"


def _listed(names: Sequence[str], most: int = 5) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


# ── as documents ─────────────────────────────────────────────────────────────────────────────────────────────────


def _what_became_of(view: RunView, fid: str) -> str:
    status = view.features[fid].status
    return f"{fid} " + {"failed": "failed", "no_changes": "changed nothing"}.get(status, f"was {status}")


def status_document(
    view: RunView, now: float, *, engine: dict[str, Any] | None, pending: Sequence[Request] = (), named: bool = False
) -> dict[str, Any]:
    """The answer of `status --json`. engine: who drives the run right now. Times are Unix seconds, money US dollars.
    live_*: what agents at work say that they have used so far, on top of cost_usd and tokens. holds: why nothing new starts.
    pending: what was asked and not taken up yet."""
    return {
        "schema": STATUS_SCHEMA,
        "run": view.run,
        "status": view.status if view.status != "running" or engine else "broken_off",
        "why": view.why,
        "paused_until": view.account.closed_until if view.account.closed_until > now else None,
        "holds": [
            {"cause": pause.cause, "by": pause.by, "since": pause.since, "now": pause.now, "why": pause.why}
            for pause in open_pauses(view)
        ],
        "stop": view.stop,
        "pending": [
            {"at": request.at, "by": by_words(request.by), "what": request_words(request).text} for request in pending
        ],
        "engine": engine,
        "project": view.project,
        "base": view.base,
        "base_branch": view.base_branch,
        "integration_branch": view.integration_branch,
        "tip": view.tip,
        "started_at": view.started_at,
        "ended_at": view.ended_at,
        "elapsed_s": round(elapsed_s(view, now if engine else view.last_at), 3),
        "cost_usd": round(view.cost_usd, 6),
        "cost_estimated": view.cost_estimated,
        "live_cost_usd": round(view.live_cost_usd, 6),
        "tokens": tokens_document(view.tokens),
        "live_tokens": tokens_document(view.live_tokens),
        "counts": {status: count for status, count in view.counts.items() if count},
        "features": [_feature_document(view, fid, now, is_driven=engine is not None) for fid in view.features],
        "next": [step.command for step in next_steps(view, is_driven=engine is not None, named=named)],
    }


def _feature_document(view: RunView, fid: str, now: float, *, is_driven: bool) -> dict[str, Any]:
    feature = view.features[fid]
    attempt = feature.attempt
    return {
        "id": fid,
        "status": feature.status,
        "since": feature.since,
        "wave": feature.wave + 1,
        "attempt": attempt.number if attempt else 0,
        "tries": feature.tries,
        "max_attempts": view.plan.features[fid].max_attempts,
        "branch": attempt.branch if attempt else "",
        "worktree": attempt.path if attempt else "",
        "head": attempt.head if attempt else "",
        "cost_usd": round(feature.cost_usd, 6),
        "cost_estimated": feature.cost_estimated,
        "live_cost_usd": round(attempt.live_cost_usd, 6) if attempt else 0.0,
        "tokens": tokens_document(feature.tokens),
        "cut_off": is_cut_off(view, feature, is_driven=is_driven),
        "last": last_words(view, feature, now, is_driven=is_driven),
    }


def tokens_document(tokens: ev.Tokens) -> dict[str, int]:
    return {
        "input": tokens.input,
        "output": tokens.output,
        "cache_read": tokens.cache_read,
        "cache_write": tokens.cache_write,
    }


def result_document(view: RunView, report: str) -> dict[str, Any]:
    """The last line of `run --json`. report: path of the whole report."""
    return {
        "kind": "result",
        "run": view.run,
        "status": view.status,
        "why": view.why,
        "integration_branch": view.integration_branch,
        "tip": view.tip,
        "cost_usd": round(view.cost_usd, 6),
        "cost_estimated": view.cost_estimated,
        "elapsed_s": round(elapsed_s(view, view.last_at), 3),
        "features": {fid: feature.status for fid, feature in view.features.items()},
        "report": report,
    }
