"""Recorded logs: one JSON object a line, {seq, run, at, kind, body}, and beside it the report it must give for ever, and
the state it must fold to.

For a release, once: `python -m tests.replay.recording v0.2` (scenarios) and `python -m tests.replay.live v0.2` (real runs).
What is recorded is never recorded again.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from orchestrate.core.events import Event, RunStarted
from orchestrate.core.state import RunState, evolve, fresh
from orchestrate.ports import Stored
from orchestrate.spec.frozen import parse_plan, render_plan
from orchestrate.store.codec import decode, encode
from orchestrate.views.report import build_report, render_json
from tests.support.logs import SCENARIOS, Scenario, Teller

HERE = Path(__file__).parent
LATER_S = 5.0
"""Reports are of so many seconds after the last event."""


def render_line(stored: Stored) -> str:
    kind, body = encode(stored.event)
    line = {"seq": stored.seq, "run": stored.run, "at": stored.event.at, "kind": kind, "body": json.loads(body)}
    return json.dumps(line) + "\n"


def parse_line(text: str) -> Stored:
    line: dict[str, Any] = json.loads(text)
    return Stored(line["seq"], line["run"], decode(line["kind"], line["at"], json.dumps(line["body"])))


def load_scenario(path: Path) -> Scenario:
    """The plan is the one inside the log."""
    events = [parse_line(line).event for line in path.read_text().splitlines()]
    begun = next(event for event in events if isinstance(event, RunStarted))
    return Scenario(parse_plan(begun.plan), tuple(events))


def render_report(scenario: Scenario) -> str:
    return render_json(build_report(scenario.events, scenario.plan, now=scenario.end + LATER_S))


def fold(scenario: Scenario) -> RunState:
    """The state that decides what is due next."""
    begun = next(event for event in scenario.events if isinstance(event, RunStarted))
    state = fresh(begun.run, scenario.plan, begun.base)
    for event in scenario.events:
        evolve(state, event)
    return state


def render_state(scenario: Scenario) -> dict[str, Any]:
    """What the rules know of the run, in words that stay: fields of the state may be named otherwise one day."""
    state = fold(scenario)
    return {
        "ended": state.ended.status if state.ended else None,
        "stop": state.stop,
        "holds": sorted(state.holds),
        "integration_head": state.integration_head,
        "features": {
            feature.id: {
                "ended": feature.ended,
                "stage": feature.attempt.stage.value if feature.attempt else None,
                "attempts": feature.number,
                "tries": feature.tries,
                "spent_usd": round(feature.spent_usd, 6),
                "head": feature.head,
            }
            for feature in state.features.values()
        },
    }


def with_plan(scenario: Scenario) -> Iterable[Event]:
    """The same events with the plan written into the first."""
    told = Teller(scenario.plan)
    told.begin(render_plan(scenario.plan))
    return [told.events[0], *scenario.events[1:]]


def record(release: str) -> None:
    directory = HERE / release
    directory.mkdir(exist_ok=True)
    for name, made in SCENARIOS.items():
        events = with_plan(made())
        lines = [render_line(Stored(seq, "20261121-111415-7f3a", event)) for seq, event in enumerate(events, 1)]
        (directory / f"{name}.jsonl").write_text("".join(lines))
        report = render_report(load_scenario(directory / f"{name}.jsonl"))
        (directory / f"{name}.report.json").write_text(report)
        state = render_state(load_scenario(directory / f"{name}.jsonl"))
        (directory / f"{name}.state.json").write_text(json.dumps(state, indent=2) + "\n")


if __name__ == "__main__":
    record(sys.argv[1])
