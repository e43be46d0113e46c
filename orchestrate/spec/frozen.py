"""A plan as text: complete and loss-free, in the log of a run and in the file of `plan --out`.

Invariant: parse_plan(render_plan(plan)) == plan, for ever. Every field is written; one that an older text lacks has
its default. Written by hand rather than by models, because ten thousand features are ordinary here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from orchestrate.core.plan import Command, Estimate, Feature, Plan
from orchestrate.errors import InputRefused, Problem

if TYPE_CHECKING:
    from .load import Loaded

PLAN_VERSION = 1
SCHEMA = "orchestrate/plan/v1"

Row = dict[str, Any]
"""A value of JSON: an object."""


# ── a plan ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def render_plan(plan: Plan) -> str:
    """One line of JSON."""
    return json.dumps(plan_row(plan), ensure_ascii=False, separators=(",", ":"))


def parse_plan(text: str) -> Plan:
    """Inverse of render_plan. Raises InputRefused if the text is no plan, or one of a newer program."""
    try:
        return plan_of(json.loads(text))
    except (ValueError, RecursionError):
        raise _refused("is not a plan", "make one with `orchestrate plan --out plan.json`") from None


def plan_row(plan: Plan) -> Row:
    return {
        "version": PLAN_VERSION,
        "start_on": plan.start_on,
        "schedule": plan.schedule,
        "features": [feature_row(feature) for feature in plan.features.values()],
        "waves": plan.waves,
        "rank": dict(plan.rank),
        "dependents": dict(plan.dependents),
        "critical_path": plan.critical_path,
    }


def plan_of(row: Any) -> Plan:
    """Inverse of plan_row. Raises InputRefused."""
    version = row.get("version") if isinstance(row, dict) else None
    if version != PLAN_VERSION:
        if isinstance(version, int) and version > PLAN_VERSION:
            raise _refused(f"has version {version}; this program reads {PLAN_VERSION}", "use a newer orchestrate")
        raise _refused("is not a plan", "make one with `orchestrate plan --out plan.json`")
    try:
        read = _Commands()
        features = {feature["id"]: _feature_of(feature, read) for feature in row["features"]}
        waves = tuple(tuple(wave) for wave in row["waves"])
        plan = Plan(
            features=features,
            waves=waves,
            rank=dict(row["rank"]),
            dependents={name: tuple(below) for name, below in row["dependents"].items()},
            critical_path=tuple(row["critical_path"]),
            start_on=row["start_on"],
            schedule=row["schedule"],
            wave_of={name: number for number, wave in enumerate(waves) for name in wave},
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _refused(f"is damaged: {error!r}", "make a new one") from None
    _check(plan)
    return plan


def _check(plan: Plan) -> None:
    """What everything that reads a plan relies on."""
    names = plan.features.keys()
    if not (names == plan.wave_of.keys() == plan.rank.keys() == plan.dependents.keys()):
        raise _refused("is damaged: its features are not those of its waves", "make a new one")
    for name, feature in plan.features.items():
        if any(d not in names or plan.wave_of[d] >= plan.wave_of[name] for d in feature.depends_on):
            raise _refused(f"is damaged: the dependencies of {name} do not come before it", "make a new one")


def feature_row(feature: Feature) -> Row:
    estimate = feature.estimate
    return {
        "id": feature.id,
        "name": feature.name,
        "prompt": feature.prompt,
        "description": feature.description,
        "prompt_file": feature.prompt_file,
        "depends_on": feature.depends_on,
        "priority": feature.priority,
        "tags": feature.tags,
        "agent": feature.agent,
        "model": feature.model,
        "setup": [command_row(command) for command in feature.setup],
        "verify": [command_row(command) for command in feature.verify],
        "touches": feature.touches,
        "expects_changes": feature.expects_changes,
        "timeout_s": feature.timeout_s,
        "max_attempts": feature.max_attempts,
        "max_reworks": feature.max_reworks,
        "max_cost_usd": feature.max_cost_usd,
        "estimate": {
            "tokens": estimate.tokens,
            "cost_usd": estimate.cost_usd,
            "duration_s": estimate.duration_s,
            "source": estimate.source,
        },
        "creates": feature.creates,
        "uses": feature.uses,
        "env": feature.env,
    }


_BLANK = Feature("")


def _feature_of(row: Row, read: _Commands) -> Feature:
    get = row.get
    return Feature(
        id=row["id"],
        name=get("name", _BLANK.name),
        prompt=get("prompt", _BLANK.prompt),
        description=get("description", _BLANK.description),
        prompt_file=get("prompt_file", _BLANK.prompt_file),
        depends_on=tuple(get("depends_on", ())),
        priority=get("priority", _BLANK.priority),
        tags=tuple(get("tags", ())),
        agent=get("agent", _BLANK.agent),
        model=get("model", _BLANK.model),
        setup=read.all(get("setup", ())),
        verify=read.all(get("verify", ())),
        touches=tuple(get("touches", ())),
        expects_changes=get("expects_changes", _BLANK.expects_changes),
        timeout_s=get("timeout_s", _BLANK.timeout_s),
        max_attempts=get("max_attempts", _BLANK.max_attempts),
        max_reworks=get("max_reworks", _BLANK.max_reworks),
        max_cost_usd=get("max_cost_usd", _BLANK.max_cost_usd),
        estimate=_estimate_of(get("estimate")),
        creates=tuple(get("creates", ())),
        uses=tuple(get("uses", ())),
        env=tuple((name, value) for name, value in get("env", ())),
    )


def _estimate_of(row: Row | None) -> Estimate:
    if row is None:
        return _BLANK.estimate
    return Estimate(row["tokens"], row["cost_usd"], row["duration_s"], row["source"])


def command_row(command: Command) -> Row:
    return {"name": command.name, "run": command.run, "timeout_s": command.timeout_s, "when": command.when}


class _Commands:
    """Reads lists of commands; what is the same in all features becomes one value."""

    def __init__(self) -> None:
        self._known: dict[tuple[Any, ...], Command] = {}

    def all(self, rows: list[Row]) -> tuple[Command, ...]:
        return tuple(self._one(row) for row in rows)

    def _one(self, row: Row) -> Command:
        default = Command("", "")
        fields = (row["name"], row["run"], row.get("timeout_s", default.timeout_s), row.get("when", default.when))
        return self._known.setdefault(fields, Command(*fields))


def _refused(what: str, hint: str, source: str = "") -> InputRefused:
    return InputRefused((Problem(f"the plan {what}", hint, source),))


# ── a plan that was shown and approved ───────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class FrozenPlan:
    """What `plan --out` writes and `run plan.json` runs.

    created_at: ISO 8601 in UTC. config: path of the feature list, relative to root where possible. base: commit id.
    selection: the flags that chose the features, as typed; empty: all. inputs, settings: digests of Loaded.
    prompts: digest of each feature's prompt.
    """

    version: str
    created_at: str
    config: str
    base_branch: str
    base: str
    selection: str
    inputs: str
    settings: str
    prompts: Mapping[str, str]
    plan: Plan


def render_frozen(frozen: FrozenPlan) -> str:
    """JSON for a file, one key a line; its `digest` covers everything else in it."""
    body: Row = {
        "schema": SCHEMA,
        "version": frozen.version,
        "created_at": frozen.created_at,
        "config": frozen.config,
        "base_branch": frozen.base_branch,
        "base": frozen.base,
        "selection": frozen.selection,
        "inputs": frozen.inputs,
        "settings": frozen.settings,
        "prompts": dict(frozen.prompts),
        "plan": plan_row(frozen.plan),
    }
    body["digest"] = digest_of(body)
    lines = (f"{json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}" for key, value in body.items())
    return "{\n" + ",\n".join(lines) + "\n}\n"


def parse_frozen(text: str, source: str = "") -> FrozenPlan:
    """Inverse of render_frozen. source: the file's name, for messages. Raises InputRefused, also when it was edited."""
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        raise _refused("is not JSON", "make one with `orchestrate plan --out plan.json`", source) from None
    schema = body.get("schema") if isinstance(body, dict) else None
    if schema != SCHEMA:
        if isinstance(schema, str) and schema.startswith("orchestrate/plan/"):
            raise _refused(f"has the format {schema}; this program reads {SCHEMA}", "make it anew", source)
        raise _refused("is not one", "make one with `orchestrate plan --out plan.json`", source)
    if body.pop("digest", None) != digest_of(body):
        raise _refused("was changed after it was written", "make it anew with `orchestrate plan --out`", source)
    try:
        return FrozenPlan(
            version=body["version"],
            created_at=body["created_at"],
            config=body["config"],
            base_branch=body["base_branch"],
            base=body["base"],
            selection=body["selection"],
            inputs=body["inputs"],
            settings=body["settings"],
            prompts=body["prompts"],
            plan=plan_of(body["plan"]),
        )
    except KeyError as error:
        raise _refused(f"lacks the key {error}", "make it anew with `orchestrate plan --out`", source) from None


def moved(frozen: FrozenPlan, loaded: Loaded, base: str) -> tuple[str, ...]:
    """What is no longer as it was when the plan was made, in words; empty: nothing that matters to it."""
    found = []
    if base != frozen.base:
        found.append(f"{frozen.base_branch or 'the base'} was at {frozen.base[:12]} and is at {base[:12]}")
    now = {feature.id: feature for feature in loaded.features}
    for name, then in frozen.plan.features.items():
        if name not in now:
            found.append(f"feature {name} is not in the list any more")
        elif changed := _changed(then, now[name], frozen.plan):
            found.append(f"feature {name}: {', '.join(changed)} changed")
    if not frozen.selection:
        found += [f"feature {name} is new" for name in now if name not in frozen.plan.features]
    if loaded.settings_digest != frozen.settings:
        found.append("settings, context, rules or template changed")
    return tuple(found)


def _changed(then: Feature, now: Feature, plan: Plan) -> list[str]:
    """Names of the fields that differ. A dependency outside of the plan's selection does not count."""
    before, after = feature_row(then), feature_row(now)
    before["depends_on"] = sorted(then.depends_on)
    after["depends_on"] = sorted(need for need in now.depends_on if need in plan.features)
    return [key for key in before if before[key] != after[key]]


# ── digests ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def digest_of(row: Any) -> str:
    """SHA-256 of a value of JSON, independent of layout and of the order of keys; tuples count as lists."""
    text = json.dumps(row, ensure_ascii=True, separators=(",", ":"), sort_keys=True)
    return sha256(text.encode()).hexdigest()


def features_digest(features: tuple[Feature, ...]) -> str:
    """Digest of features in their order."""
    return digest_of([feature_row(feature) for feature in features])
