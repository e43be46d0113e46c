"""A log → the report of its run. Pure; the log may end anywhere.

Invariant: every feature of the plan is in it, with its cost, whatever became of it; its sums are those of its parts.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Literal

from orchestrate.core import events as ev
from orchestrate.core.plan import Plan
from orchestrate.views import report_model as rm
from orchestrate.views.attempts import NO_TOKENS, AttemptView, CheckRound, InvocationView
from orchestrate.views.controls import Pause, Request, hold_words, request_words
from orchestrate.views.cost import CostLine, build_costs
from orchestrate.views.figures import first_line
from orchestrate.views.reasons import conflicting_features, parked_words
from orchestrate.views.report_markdown import render_markdown
from orchestrate.views.rows import is_cut_off, reason_of
from orchestrate.views.run import ENDED, FeatureView, RunView, build_view
from orchestrate.views.summary import kept_attempts, kept_ref, next_steps
from orchestrate.views.timeline import Timeline, build_timeline

__all__ = ["build_report", "render_json", "render_markdown", "report_of"]


def build_report(
    events: Iterable[ev.Event],
    plan: Plan,
    *,
    now: float,
    parallel: int | None = None,
    is_driven: bool | None = None,
    named: bool = False,
) -> rm.Report:
    """Events of one run, in order, and its plan → report. now: Unix seconds. parallel: slots of the run, if known.
    is_driven: an engine is at it right now; None: not known. named: what to type next says which run, as it is not the
    newest."""
    return report_of(build_view(plan, events), now=now, parallel=parallel, is_driven=is_driven, named=named)


def report_of(
    view: RunView, *, now: float, parallel: int | None = None, is_driven: bool | None = None, named: bool = False
) -> rm.Report:
    """The same from a view that was kept up to date."""
    known = parallel or max((engine.parallel for engine in view.engines), default=0)
    seen = view.seen_at(now, is_driven=is_driven is not False)
    timeline = build_timeline(view, now=seen, parallel=known or None)
    costs = build_costs(view)
    is_at_work = is_driven is not False
    end = view.ended_at if view.ended_at is not None else seen
    features = tuple(_feature(view, feature, end, is_driven=is_at_work) for feature in view.features.values())
    return rm.Report(
        schema="orchestrate/report/v1",
        generated_at=moment(now),
        run=_run(view, is_driven=is_at_work),
        totals=_totals(view, costs.total, costs.lost),
        time=_time(timeline, view.holds.seconds(end)),
        plan=_plan(view.plan),
        critical_path=tuple(
            rm.LinkReport(link.feature, _round(link.due), _round(link.start), _round(link.ready), _round(link.waited_s))
            for link in timeline.critical_path
        ),
        cost_by_model=tuple(rm.SpentOn(line.key, _spent_on(line)) for line in costs.models),
        cost_by_phase=tuple(rm.SpentOn(line.key, _spent_on(line)) for line in costs.phases),
        features=features,
        branches=_branches(view),
        errors=tuple(
            rm.ErrorReport(feature.id, feature.status, feature.why)
            for feature in features
            if feature.status in ENDED and not feature.success
        ),
        warnings=tuple(
            rm.WarningReport(moment(warning.at), warning.feature, warning.message) for warning in view.warnings
        ),
        next=next_steps(view, is_driven=is_driven, named=named),
        controls=tuple(_control(request) for request in view.requests if not _is_forced(request)),
        pauses=tuple(_pause(pause) for pause in view.holds.pauses),
        kept=tuple(_kept(view, attempt) for attempt in kept_attempts(view)),
    )


def render_json(report: rm.Report) -> str:
    """One JSON document in ASCII, a line for each member and for each feature; described by schemas/report.schema.json.

    Indented further it would take Python's own encoder, which is many times slower than the one in C.
    """
    members = (f"  {json.dumps(name)}: {_render_member(value)}" for name, value in to_plain(report).items())
    return "{\n" + ",\n".join(members) + "\n}\n"


def _render_member(value: object) -> str:
    if not (isinstance(value, list) and value and isinstance(value[0], dict)):
        return json.dumps(value, allow_nan=False)
    return "[\n    " + ",\n    ".join(json.dumps(item, allow_nan=False) for item in value) + "\n  ]"


def to_plain(value: object) -> Any:
    """Dataclasses → objects, tuples → lists."""
    if dataclasses.is_dataclass(value):
        return {field.name: to_plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, tuple):
        return [to_plain(item) for item in value]
    return value


# ── figures ──────────────────────────────────────────────────────────────────────────────────────────────────────


def moment(at: float) -> rm.Moment:
    text = datetime.fromtimestamp(_round(at), UTC).isoformat(timespec="milliseconds")
    return rm.Moment(text.replace("+00:00", "Z"))


def _moment_if(at: float | None) -> rm.Moment | None:
    return None if at is None else moment(at)


def _round(figure: float, digits: int = 3) -> float:
    """Milliseconds are enough, and JSON has no word for what is no number."""
    return round(figure, digits) if math.isfinite(figure) else 0.0


def _tokens(tokens: ev.Tokens) -> rm.TokenCount:
    return rm.TokenCount(tokens.input, tokens.output, tokens.cache_read, tokens.cache_write, tokens.total)


def _spent_on(line: CostLine) -> rm.Spent:
    return rm.Spent(
        _round(line.usd, 6), _round(line.estimated_usd, 6), _tokens(line.tokens), line.turns, line.invocations
    )


def _spent(invocations: Iterable[InvocationView]) -> rm.Spent:
    ends = [invocation.finished for invocation in invocations if invocation.finished is not None]
    return rm.Spent(
        _round(sum(end.cost_usd for end in ends), 6),
        _round(sum(end.cost_usd for end in ends if end.cost_estimated), 6),
        _tokens(sum((end.tokens for end in ends), start=NO_TOKENS)),
        sum(end.turns for end in ends),
        len(ends),
    )


# ── the run ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _run(view: RunView, *, is_driven: bool) -> rm.RunReport:
    return rm.RunReport(
        id=view.run,
        project=view.project,
        status=view.status,
        why=view.why,
        started_at=moment(view.started_at),
        ended_at=_moment_if(view.ended_at),
        base=view.base,
        base_branch=view.base_branch,
        integration_branch=view.integration_branch,
        tip=view.tip,
        version=view.version,
        engines=tuple(rm.EngineReport(moment(e.at), e.pid, e.host, e.version) for e in view.engines),
        broken_off=view.status == "running" and not is_driven,
    )


def _totals(view: RunView, total: CostLine, lost: int) -> rm.Totals:
    ended, integrated = view.ended_count, view.count("integrated")
    return rm.Totals(
        features=len(view.features),
        integrated=integrated,
        unsuccessful=ended - integrated,
        unfinished=len(view.features) - ended,
        by_status={status: count for status, count in view.counts.items() if count},
        attempts=sum(len(feature.attempts) for feature in view.features.values()),
        reworks=view.reworks,
        lost_invocations=lost,
        spent=_spent_on(total),
        live_cost_usd=_round(view.live_cost_usd, 6),
        live_tokens=_tokens(view.live_tokens),
        saves=sum(attempt.saves for feature in view.features.values() for attempt in feature.attempts),
    )


def _time(timeline: Timeline, held_s: float) -> rm.TimeReport:
    return rm.TimeReport(
        wall_s=_round(timeline.wall_s),
        down_s=_round(timeline.down_s),
        active_s=_round(timeline.active_s),
        sequential_s=_round(timeline.sequential_s),
        bound_s=_round(timeline.bound_s),
        speedup=_round(timeline.speedup),
        parallel=timeline.parallel,
        peak=timeline.peak,
        held_s=_round(held_s),
    )


def _plan(plan: Plan) -> rm.PlanReport:
    return rm.PlanReport(
        plan.start_on, plan.schedule, plan.waves, plan.critical_path, _round(plan.critical_s), _round(plan.work_s)
    )


def _branches(view: RunView) -> tuple[str, ...]:
    """The integration branch exists once something was merged into it."""
    made = [view.integration_branch] if view.tip != view.base else []
    made += [a.branch for feature in view.features.values() for a in feature.attempts if a.branch]
    return tuple(made)


# ── what people asked, what stood still, what is kept ────────────────────────────────────────────────────────────

_WHAT: dict[type[ev.Event], Literal["pause", "resume", "cancel", "retry", "answer", "stop"]] = {
    ev.PauseRequested: "pause",
    ev.ResumeRequested: "resume",
    ev.CancelRequested: "cancel",
    ev.RetryRequested: "retry",
    ev.AnswerGiven: "answer",
    ev.StopRequested: "stop",
}


def _is_forced(request: Request) -> bool:
    """By the machine; it is among the pauses."""
    return isinstance(request, ev.PauseRequested | ev.ResumeRequested) and request.cause != "operator"


def _control(request: Request) -> rm.ControlReport:
    features: tuple[str, ...] = ()
    if isinstance(request, ev.CancelRequested | ev.RetryRequested):
        features = request.features
    elif isinstance(request, ev.AnswerGiven):
        features = (request.feature,)
    words = request_words(request).text
    return rm.ControlReport(moment(request.at), request.by, _WHAT[type(request)], features, words, request.control)


def _pause(pause: Pause) -> rm.PauseReport:
    return rm.PauseReport(
        pause.cause, pause.by, moment(pause.since), _moment_if(pause.until), pause.ended_by, pause.why, pause.now
    )


def _kept(view: RunView, attempt: AttemptView) -> rm.KeptReport:
    name = f"{attempt.feature}@{attempt.number}"
    return rm.KeptReport(
        feature=attempt.feature,
        attempt=attempt.number,
        outcome=attempt.ended.outcome if attempt.ended else None,
        branch=attempt.branch,
        head=attempt.newest,
        ref=kept_ref(view, attempt),
        command=f"orchestrate recover {name} --run {view.run} --branch recovered/{attempt.feature}",
    )


# ── features ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _feature(view: RunView, feature: FeatureView, end: float, *, is_driven: bool) -> rm.FeatureReport:
    planned = view.plan.features[feature.id]
    last = feature.attempt or AttemptView(feature.id, 0, 0.0)
    invocations = [invocation for attempt in feature.attempts for invocation in attempt.invocations]
    estimate = planned.estimate
    why = _why(view, feature)
    return rm.FeatureReport(
        id=feature.id,
        name=planned.name,
        description=planned.description,
        wave=feature.wave + 1,
        depends_on=planned.depends_on,
        tags=planned.tags,
        priority=planned.priority,
        agent=planned.agent,
        model=planned.model,
        estimate=rm.EstimateReport(estimate.tokens, estimate.cost_usd, estimate.duration_s, estimate.source),
        status=feature.status,
        success=feature.status == "integrated",
        outcome=feature.outcome,
        why=why,
        tries=feature.tries,
        max_attempts=planned.max_attempts,
        reworks=feature.reworks,
        started_at=_moment_if(feature.started_at),
        ended_at=_moment_if(feature.ended_at),
        busy_s=_round(sum(attempt.busy_s(end) for attempt in feature.attempts)),
        spent=_spent(invocations),
        branch=last.branch,
        base=last.base,
        head=last.head,
        merged=last.merged,
        session=last.invocations[-1].started.session if last.invocations else "",
        said=next((i.finished.said for i in reversed(invocations) if i.finished and i.finished.said), ""),
        attempts=tuple(_attempt(view, attempt, end, is_driven=is_driven) for attempt in feature.attempts),
        reason=_reason(view, feature) or first_line(why),
        conflicts_with=conflicting_features(view, feature),
        cut_off=is_cut_off(view, feature, is_driven=is_driven),
        live_cost_usd=_round(last.live_cost_usd, 6),
    )


def _why(view: RunView, feature: FeatureView) -> str:
    """Also for what has not ended: a reader asks that first."""
    attempt = feature.attempt
    if feature.status in ENDED:
        return feature.why
    if attempt is not None and attempt.parked:
        return f"stands still: {attempt.parked}"
    if feature.status == "paused":
        return f"stands still: {hold_words(view.holds)}"
    if attempt is None and view.ended_at is not None:
        return f"never started: {view.why or 'the run ended before'}"
    return feature.why


def _reason(view: RunView, feature: FeatureView) -> str:
    """In one line, where more can be said than why."""
    if feature.status in ENDED:
        return reason_of(view, feature)
    attempt = feature.attempt
    return parked_words(attempt) if attempt is not None and attempt.parked else ""


def _attempt(view: RunView, attempt: AttemptView, end: float, *, is_driven: bool) -> rm.AttemptReport:
    ended = attempt.ended
    sealed = attempt.sealed
    return rm.AttemptReport(
        number=attempt.number,
        branch=attempt.branch,
        worktree=attempt.path,
        base=attempt.base,
        head=attempt.head,
        merged=attempt.merged,
        outcome=ended.outcome if ended else None,
        why=ended.why if ended else attempt.parked or attempt.stopping,
        retried=bool(ended and ended.retry),
        started_at=moment(attempt.started_at),
        ended_at=_moment_if(ended.at if ended else None),
        durations_s={stage: _round(seconds) for stage, seconds in attempt.durations(end).items()},
        busy_s=_round(attempt.busy_s(end)),
        reworks=attempt.reworks,
        spent=_spent(attempt.invocations),
        denials=attempt.denials,
        change=rm.ChangeReport(
            sealed.changed,
            sealed.insertions,
            sealed.deletions,
            sealed.commits,
            sealed.committed,
            sealed.out_of_scope,
            sealed.error,
        )
        if sealed
        else None,
        conflicts=attempt.merge.paths if attempt.merge else (),
        problems=(*([attempt.problem.why] if attempt.problem else []), *attempt.losses),
        rounds=tuple(_check_round(each) for each in attempt.rounds),
        invocations=tuple(_invocation(each, is_driven=is_driven) for each in attempt.invocations),
        artifacts=_artifacts(attempt),
        spans=tuple(
            rm.SpanReport(
                span.stage,
                _round(span.start - view.started_at),
                None if span.end is None else _round(span.end - view.started_at),
            )
            for span in attempt.spans
        ),
        saves=attempt.saves,
        saved=attempt.saved,
    )


def _check_round(each: CheckRound) -> rm.RoundReport:
    return rm.RoundReport(
        at=moment(each.at),
        where="merged" if each.on_merged else "feature",
        ok=each.ok,
        error=each.error,
        duration_s=_round(each.duration_s),
        checks=tuple(
            rm.CheckReport(c.name, c.command, c.ok, c.exit_code, c.timed_out, _round(c.duration_s), c.tail, c.artifact)
            for c in each.checks
        ),
    )


def _invocation(invocation: InvocationView, *, is_driven: bool) -> rm.InvocationReport:
    started, finished = invocation.started, invocation.finished
    lost = invocation.lost or ("" if finished or is_driven else "its engine died")
    return rm.InvocationReport(
        number=started.invocation,
        phase=started.phase,
        session=(finished.session if finished else "") or started.session,
        resumed=started.resume,
        started_at=moment(started.at),
        ended_at=_moment_if(finished.at if finished else None),
        end=finished.end if finished else "lost" if lost else "running",
        why=finished.why if finished else lost,
        said=finished.said if finished else "",
        exit_code=finished.exit_code if finished else None,
        model=finished.model if finished else "",
        spent=_spent([invocation]),
        denials=finished.denials if finished else (),
        duration_s=_round(finished.duration_s) if finished else 0.0,
        artifact=finished.artifact if finished else "",
        oom=finished is not None and finished.oom,
    )


def _artifacts(attempt: AttemptView) -> tuple[str, ...]:
    """Every file that the attempt's events refer to, once, in order."""
    files = [invocation.finished.artifact for invocation in attempt.invocations if invocation.finished]
    files += [check.artifact for each in attempt.rounds for check in each.checks]
    return tuple(dict.fromkeys(file for file in files if file))
