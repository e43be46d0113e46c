"""Which features of a plan are meant: a small grammar, after dbt's.

    a         the feature              a+  +a  +a+   with dependents, dependencies, both
    2+a  a+1  so many steps only       @a            a, all that depends on it, and all that those need
    tag:x     wave:2                   api-*         globs, in ids, tags
    a b       either                   a,b           both

Invariant: an answer is in plan order, and everything in it is a member of the plan.
https://docs.getdbt.com/reference/node-selection/syntax
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from fnmatch import fnmatchcase

from orchestrate.core.plan import Feature, Plan
from orchestrate.errors import OrchestrateError

EXAMPLE = "for example: api  api+  +api  2+api  @api  tag:core  wave:2  'api-*'  'a b' (either)  a,b (both)"

_TERM = re.compile(r"(?P<at>@)?(?:(?P<up>\d*)\+)?(?P<what>[^+@]+)(?:\+(?P<down>\d*))?")


@dataclass(frozen=True, slots=True)
class Selection:
    """What the user asked for. Each text of select and exclude is a union of terms; all empty: everything.

    failed: ids to narrow the answer to (what --failed found in the log); None when that was not asked.
    """

    select: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    failed: frozenset[str] | None = None

    @property
    def is_everything(self) -> bool:
        return not self.select and not self.exclude and self.failed is None

    def __str__(self) -> str:
        """As it would be typed; empty for everything."""
        words = [f"--select '{text}'" for text in self.select] + [f"--exclude '{text}'" for text in self.exclude]
        return " ".join([*words, "--failed"] if self.failed is not None else words)


def selected(plan: Plan, wanted: Selection) -> tuple[str, ...]:
    """Ids in plan order. Raises OrchestrateError for a term that means nothing, or when nothing is left."""
    chosen = _union(plan, wanted.select) if wanted.select else set(plan.features)
    if wanted.failed is not None:
        chosen &= wanted.failed
    chosen -= _union(plan, wanted.exclude)
    if not chosen and plan.features:
        raise OrchestrateError(
            f"nothing selected: {wanted} leaves none of the {len(plan.features)} features",
            hint="nothing failed in the last run" if wanted.failed is not None and not wanted.failed else EXAMPLE,
        )
    return tuple(fid for fid in plan.features if fid in chosen)


def unmet_needs(plan: Plan, chosen: Collection[str]) -> tuple[tuple[str, str], ...]:
    """(feature, what it needs) for every dependency of a chosen feature that is not chosen itself."""
    members = set(chosen)
    return tuple(
        (fid, needed)
        for fid in plan.features
        if fid in members
        for needed in plan.features[fid].depends_on
        if needed not in members
    )


def narrowed(plan: Plan, chosen: Collection[str], *, done: Collection[str] = frozenset()) -> tuple[Feature, ...]:
    """The chosen features, depending on one another only. done: ids whose work is already there.

    Raises OrchestrateError when one needs a feature that is neither chosen nor done: never widened silently.
    """
    members = set(chosen)
    unmet = [(fid, needed) for fid, needed in unmet_needs(plan, chosen) if needed not in done]
    if unmet:
        shown = "; ".join(f"{fid} needs {needed}" for fid, needed in unmet[:3])
        more = f"; and {len(unmet) - 3} more" if len(unmet) > 3 else ""
        roots = list(dict.fromkeys(fid for fid, _ in unmet))
        hint = " ".join(f"+{fid}" for fid in roots[:3]) + (" …" if len(roots) > 3 else "")
        raise OrchestrateError(
            f"{shown}{more}: neither selected nor part of the base", hint=f"add {hint} to --select, with all it needs"
        )
    return tuple(
        replace(plan.features[fid], depends_on=tuple(n for n in plan.features[fid].depends_on if n in members))
        for fid in plan.features
        if fid in members
    )


# ── the grammar ──────────────────────────────────────────────────────────────────────────────────────────────────


def _union(plan: Plan, texts: Iterable[str]) -> set[str]:
    found: set[str] = set()
    for token in (token for text in texts for token in text.split()):
        found |= _intersection(plan, token)
    return found


def _intersection(plan: Plan, token: str) -> set[str]:
    parts = token.split(",")
    if not all(parts):
        raise _refusal(token, "has a comma with nothing beside it")
    found = _term(plan, parts[0])
    for part in parts[1:]:
        found &= _term(plan, part)
    return found


def _term(plan: Plan, token: str) -> set[str]:
    form = _TERM.fullmatch(token)
    if not form or (form["at"] and (form["up"] is not None or form["down"] is not None)):
        raise _refusal(token, "is no selection")
    start = _method(plan, form["what"])
    if form["at"]:
        below = _reach(start, lambda fid: plan.dependents[fid], None)
        return _reach(below, lambda fid: plan.features[fid].depends_on, None)
    found = set(start)
    if form["up"] is not None:
        found |= _reach(start, lambda fid: plan.features[fid].depends_on, int(form["up"]) if form["up"] else None)
    if form["down"] is not None:
        found |= _reach(start, lambda fid: plan.dependents[fid], int(form["down"]) if form["down"] else None)
    return found


def _method(plan: Plan, what: str) -> set[str]:
    """Ids for a term without its signs."""
    method, colon, value = what.partition(":")
    if not colon:
        return _by_id(plan, what)
    if method == "tag":
        return _by_tag(plan, what, value)
    if method == "wave":
        return _by_wave(plan, what, value)
    raise _refusal(what, f"uses '{method}:', which is not known", hint="known are tag: and wave:")


def _by_id(plan: Plan, what: str) -> set[str]:
    if what in plan.features:
        return {what}
    if not _is_glob(what):
        near = get_close_matches(what, plan.features, n=1)
        hint = f"did you mean {near[0]}?" if near else "`orchestrate ls` lists the features"
        raise OrchestrateError(f"--select: there is no feature {what!r}", hint=hint)
    return _some({fid for fid in plan.features if fnmatchcase(fid, what)}, what, "`orchestrate ls` lists the features")


def _by_tag(plan: Plan, what: str, value: str) -> set[str]:
    tags = sorted({tag for feature in plan.features.values() for tag in feature.tags})
    near = get_close_matches(value, tags, n=1)
    hint = (
        f"did you mean tag:{near[0]}?"
        if near
        else "tags are: " + ", ".join(tags[:12])
        if tags
        else "no feature has a tag"
    )
    found = {fid for fid, f in plan.features.items() if any(tag == value or fnmatchcase(tag, value) for tag in f.tags)}
    return _some(found, what, hint)


def _by_wave(plan: Plan, what: str, value: str) -> set[str]:
    if not value.isascii() or not value.isdigit() or not 1 <= int(value[:9]) <= len(plan.waves):
        raise _refusal(what, "is no wave of this plan", hint=f"waves are wave:1 to wave:{len(plan.waves)}")
    return set(plan.waves[int(value) - 1])


def _some(found: set[str], what: str, hint: str) -> set[str]:
    if not found:
        raise _refusal(what, "matches no feature", hint=hint)
    return found


def _is_glob(text: str) -> bool:
    return any(c in text for c in "*?[")


def _reach(start: Collection[str], step: Callable[[str], Sequence[str]], steps: int | None) -> set[str]:
    """Everything within so many steps (None: any number) from the start, the start included."""
    found = set(start)
    frontier = list(start)
    while frontier and (steps is None or steps > 0):
        frontier = list({there for here in frontier for there in step(here)} - found)
        found.update(frontier)
        steps = None if steps is None else steps - 1
    return found


def _refusal(token: str, why: str, *, hint: str = EXAMPLE) -> OrchestrateError:
    return OrchestrateError(f"--select: {token!r} {why}", hint=hint)
