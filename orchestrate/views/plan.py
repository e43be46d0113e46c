"""What a plan says to its reader: as lines of text, and as a JSON document.

Invariant: both are made from the same value; nothing is shown that the document does not hold.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrate.core.names import AttemptKey, attempt_branch, integration_branch
from orchestrate.core.plan import Feature, Plan
from orchestrate.views.figures import count_of, render_money, render_rough_duration, render_tokens
from orchestrate.views.lanes import lanes, wave_tree
from orchestrate.views.text import clean, clip, columns, titled

SCHEMA = "orchestrate/plan-summary/v1"
"""Not that of the file which `plan --out` writes: this one is for reading, that one is for running."""

LISTING_SCHEMA = "orchestrate/features/v1"

COMING_RUN = "<run>"
"""Stands where the id of the run will be."""

MOST_ROWS = 200
"""Features that are listed one by one, unless all are asked for."""


@dataclass(frozen=True, slots=True)
class PlanView:
    """A plan with where it starts from.

    base: commit id. listed: features in the list, selected or not. selection: as it was typed; empty for everything.
    """

    plan: Plan
    project: str
    config: str
    base: str
    base_branch: str
    branch_prefix: str
    parallel: int
    listed: int
    selection: str = ""
    notices: tuple[str, ...] = ()

    @property
    def bound_s(self) -> float:
        """No run of this plan can be shorter, seconds."""
        return self.plan.bound_s(self.parallel)

    @property
    def speedup(self) -> float:
        """How many times as fast as one after another it can be at best."""
        return self.plan.work_s / self.bound_s if self.bound_s else 1.0

    @property
    def tokens(self) -> int:
        return sum(f.estimate.tokens for f in self.plan.features.values())

    @property
    def cost_usd(self) -> float:
        return sum(f.estimate.cost_usd for f in self.plan.features.values())

    @property
    def sources(self) -> Mapping[str, int]:
        """Where the estimates come from: number of features by source."""
        return Counter(f.estimate.source for f in self.plan.features.values())

    @property
    def integration_branch(self) -> str:
        """Where the features meet; the coming run has no id yet."""
        return integration_branch(COMING_RUN, self.branch_prefix)

    def branch(self, fid: str) -> str:
        """Of the feature's first attempt."""
        return attempt_branch(AttemptKey(COMING_RUN, fid, 1), self.branch_prefix)


# ── for programs ─────────────────────────────────────────────────────────────────────────────────────────────────


def plan_document(view: PlanView) -> dict[str, Any]:
    """Times in seconds, money in US dollars, waves counted from 1."""
    plan = view.plan
    critical = set(plan.critical_path)
    return {
        "schema": SCHEMA,
        "project": view.project,
        "config": view.config,
        "base": {"branch": view.base_branch, "commit": view.base},
        "integration_branch": view.integration_branch,
        "selection": view.selection,
        "parallel": view.parallel,
        "start_on": plan.start_on,
        "schedule": plan.schedule,
        "waves": [list(wave) for wave in plan.waves],
        "critical_path": list(plan.critical_path),
        "totals": {
            "features": len(plan.features),
            "listed": view.listed,
            "tokens": view.tokens,
            "cost_usd": round(view.cost_usd, 6),
            "work_s": plan.work_s,
            "critical_path_s": plan.critical_s,
            "bound_s": view.bound_s,
            "speedup_bound": round(view.speedup, 3),
            "estimate_sources": dict(view.sources),
        },
        "features": [_feature_document(view, feature, critical) for feature in plan.features.values()],
        "notices": list(view.notices),
    }


def _feature_document(view: PlanView, feature: Feature, critical: set[str]) -> dict[str, Any]:
    return {
        "id": feature.id,
        "name": feature.name,
        "wave": view.plan.wave_of[feature.id] + 1,
        "depends_on": list(feature.depends_on),
        "priority": feature.priority,
        "tags": list(feature.tags),
        "branch": view.branch(feature.id),
        "agent": feature.agent,
        "model": feature.model,
        "checks": [check.run for check in feature.verify],
        "timeout_s": feature.timeout_s,
        "max_attempts": feature.max_attempts,
        "max_cost_usd": feature.max_cost_usd,
        "rank_s": view.plan.rank[feature.id],
        "critical": feature.id in critical,
        "estimate": {
            "tokens": feature.estimate.tokens,
            "cost_usd": round(feature.estimate.cost_usd, 6),
            "duration_s": feature.estimate.duration_s,
            "source": feature.estimate.source,
        },
    }


def listing_document(plan: Plan, chosen: Sequence[str]) -> dict[str, Any]:
    """What `ls` tells a program about the chosen features."""
    return {
        "schema": LISTING_SCHEMA,
        "features": [
            {
                "id": fid,
                "name": plan.features[fid].name,
                "wave": plan.wave_of[fid] + 1,
                "depends_on": list(plan.features[fid].depends_on),
                "tags": list(plan.features[fid].tags),
                "priority": plan.features[fid].priority,
            }
            for fid in chosen
        ],
    }


# ── for people ───────────────────────────────────────────────────────────────────────────────────────────────────


def plan_lines(view: PlanView, *, width: int = 80, ascii_only: bool = False, full: bool = False) -> list[str]:
    """The plan as one reads it. full: every feature on a line of its own, however many there are."""
    if full or len(view.plan.features) <= MOST_ROWS:
        graph = list(_feature_lines(view, width, ascii_only=ascii_only))
    else:
        graph = list(_wave_lines(view, width))
    return [*_head_lines(view, width), "", *graph, "", *_foot_lines(view, width)]


def _head_lines(view: PlanView, width: int) -> Iterator[str]:
    plan = view.plan
    many = len(plan.features)
    features = count_of(many, "feature") if many == view.listed else f"{many:,} of {count_of(view.listed, 'feature')}"
    project = clean(view.project)
    agents = count_of(view.parallel, "agent")
    title = f"{features} in {count_of(len(plan.waves), 'wave')}, {agents} at a time"
    yield clip(f"{project}: {title}" if project else title, width)
    rows = [
        ("base", f"{view.base_branch} at {view.base[:10]}" if view.base_branch != view.base else view.base[:10]),
        ("branches", f"{view.branch('<id>')}, meeting in {view.integration_branch}"),
        ("checks", _shared_checks(plan)),
        ("list", clean(view.config)),
    ]
    if view.selection:
        rows.append(("selection", clean(view.selection)))
    if plan.start_on != "verified" or plan.schedule != "ready":
        rows.append(("order", f"start_on {plan.start_on}, schedule {plan.schedule}"))
    indent = max(len(title) for title, _ in rows) + 4
    for title, text in rows:
        yield from titled(f"  {title}", text, width=width, indent=indent)


def _shared_checks(plan: Plan) -> str:
    """What every feature must pass; the point of the whole run, so it is said when there is nothing."""
    texts = Counter(check.run for feature in plan.features.values() for check in feature.verify)
    shared = [clean(run) for run, times in texts.items() if times >= len(plan.features)]
    bare = sum(1 for feature in plan.features.values() if not feature.verify)
    if shared:
        return " && ".join(shared)
    if bare == len(plan.features):
        return "none: what the agents do is not tested (set verify)"
    return "by feature" + (f"; {count_of(bare, 'feature')} without any" if bare else "")


def _feature_lines(view: PlanView, width: int, *, ascii_only: bool) -> Iterator[str]:
    plan = view.plan
    drawn = lanes(list(plan.features), {i: f.depends_on for i, f in plan.features.items()}, ascii_only=ascii_only)
    if drawn is not None:
        drawings = list(zip(drawn, plan.features, strict=True))
    else:
        drawings = list(wave_tree(plan.waves, ascii_only=ascii_only))
    agents = {(f.agent, f.model) for f in plan.features.values()}
    cells = []
    for drawing, fid in drawings:
        if not fid:
            cells.append((drawing, "", "", "", ""))
            continue
        feature = plan.features[fid]
        cells.append(
            (
                f"{drawing} {fid}",
                f"wave {plan.wave_of[fid] + 1}" if drawn is not None else "",
                render_rough_duration(feature.estimate.duration_s),
                clean(f"{feature.agent} {feature.model}") if len(agents) > 1 else "",
                f"← {', '.join(feature.depends_on)}" if feature.depends_on else "",
            )
        )
    used = [i for i in range(5) if any(row[i] for row in cells)]
    for line in columns([[row[i] for i in used] for row in cells]):
        yield clip(line, width)


def _wave_lines(view: PlanView, width: int) -> Iterator[str]:
    """Many features: one line a wave, with its size and how it begins."""
    plan = view.plan
    rows = []
    for number, wave in enumerate(plan.waves, start=1):
        longest = max(plan.features[fid].estimate.duration_s for fid in wave)
        rows.append(
            (f"wave {number}", count_of(len(wave), "feature"), render_rough_duration(longest), ", ".join(wave[:20]))
        )
    for line in columns(rows, right=(1,)):
        yield clip(line, width)
    yield f"(more than {MOST_ROWS} features: --full lists them one by one)"


def _foot_lines(view: PlanView, width: int) -> Iterator[str]:
    plan = view.plan
    path = [*(f"{fid} →" for fid in plan.critical_path[:-1]), *plan.critical_path[-1:]]
    if len(path) > 12:
        path = [*path[:5], f"… {len(path) - 10} more … →", *path[-5:]]
    sources = ", ".join(f"{number:,} by {source}" for source, number in sorted(view.sources.items()))
    gain = f"{view.speedup:.1f} times as fast as one by one" if view.speedup >= 1.05 else "no faster than one by one"
    amount = f"{render_tokens(view.tokens)} tokens, {render_money(view.cost_usd, estimated=True)}"
    for title, text in (
        ("critical path", f"{' '.join(path)} ({render_rough_duration(plan.critical_s)})"),
        ("estimate", f"{amount}, {render_rough_duration(plan.work_s)} of work ({sources})"),
        ("time", f"at best {render_rough_duration(view.bound_s)} with {count_of(view.parallel, 'agent')}, {gain}"),
    ):
        yield from titled(title, text, width=width, indent=15)


def listing_lines(plan: Plan, chosen: Sequence[str], *, width: int = 80) -> list[str]:
    """One line a feature: id, wave, tags, name, what it needs."""
    rows = []
    for fid in chosen:
        feature = plan.features[fid]
        needs = f"← {', '.join(feature.depends_on)}" if feature.depends_on else ""
        name = clean(feature.name) if feature.name != fid else ""
        rows.append(
            (fid, f"wave {plan.wave_of[fid] + 1}", clip(clean(" ".join(feature.tags)), 20), clip(name, 32), needs)
        )
    used = [i for i in range(5) if any(row[i] for row in rows)]
    return [clip(line, width) for line in columns([[row[i] for i in used] for row in rows])]
