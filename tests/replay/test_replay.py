"""Logs of every release fold, for ever, to what they folded to then."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from orchestrate.core.events import Control, RunStarted, StopRequested
from orchestrate.store.codec import KINDS
from orchestrate.store.log import SqliteEventLog
from tests.replay.recording import HERE, fold, load_scenario, parse_line, render_line, render_report, render_state
from tests.store.format1 import write_format_1

CONTROLS = {kind for kind, cls in KINDS.items() if issubclass(cls, Control | StopRequested)}
"""What people ask for; all of it is in the recorded runs of 0.2."""

LOGS = sorted(HERE.glob("v*/*.jsonl"))
recorded = pytest.mark.parametrize("path", LOGS, ids=[f"{path.parent.name}-{path.stem}" for path in LOGS])


def differences(now: Any, then: Any, where: str = "report") -> list[str]:
    """Where `then` is not in `now`: a report may have grown since, but what was in it stays."""
    if isinstance(then, dict) and isinstance(now, dict):
        missing = [f"{where}.{key} is gone" for key in then if key not in now]
        return missing + [d for key in then if key in now for d in differences(now[key], then[key], f"{where}.{key}")]
    if isinstance(then, list) and isinstance(now, list) and len(then) == len(now):
        return [d for n, (a, b) in enumerate(zip(now, then, strict=True)) for d in differences(a, b, f"{where}[{n}]")]
    return [] if now == then else [f"{where} is {now!r}, was {then!r}"]


@recorded
def test_gives_the_recorded_report(path: Path) -> None:
    then = json.loads(path.with_suffix(".report.json").read_text())
    del then["next"]  # advice: what is good to type depends on the commands there are today
    assert differences(json.loads(render_report(load_scenario(path))), then) == []


@recorded
def test_folds_into_the_state_that_decides(path: Path) -> None:
    scenario = load_scenario(path)
    then = json.loads(path.with_suffix(".report.json").read_text())
    assert {fid: f.number for fid, f in fold(scenario).features.items()} == {
        f["id"]: len(f["attempts"]) for f in then["features"]
    }
    recorded_state = path.with_suffix(".state.json")
    assert recorded_state.exists() or path.parent.name == "v0.1", "states are recorded since 0.2"
    if recorded_state.exists():
        assert differences(render_state(scenario), json.loads(recorded_state.read_text()), "state") == []


@recorded
def test_goes_through_the_log_on_disk(path: Path, tmp_path: Path) -> None:
    """As a log of then, which this version opens, reads, and goes on with."""
    scenario = load_scenario(path)
    begun = next(event for event in scenario.events if isinstance(event, RunStarted))
    file = tmp_path / "log.sqlite3"
    if path.parent.name == "v0.1":
        write_format_1(file, {begun.run: scenario.events})
    else:
        with SqliteEventLog(file) as log:
            log.append(begun.run, scenario.events)
    with SqliteEventLog(file) as log:
        assert [stored.event for stored in log.read(begun.run)] == list(scenario.events)
        assert log.verify() == len(scenario.events)


def kinds_of(release: str) -> set[str]:
    texts = [path.read_text() for path in LOGS if path.parent.name == release]
    return {json.loads(line)["kind"] for line in "".join(texts).splitlines()}


def test_no_recorded_kind_is_forgotten() -> None:
    """Each release wrote every kind there was."""
    assert len(kinds_of("v0.1")) == 27 and kinds_of("v0.1") <= set(KINDS)
    assert kinds_of("v0.2") <= set(KINDS)
    assert kinds_of("v0.2") >= CONTROLS


def test_a_line_is_written_as_it_was_read() -> None:
    for path in LOGS:
        if path.parent.name == "v0.1":
            line = path.read_text().splitlines()[0]
            written, read = json.loads(render_line(parse_line(line))), json.loads(line)
            assert written.pop("body").items() >= read.pop("body").items(), "fields are only ever added"
            assert written == read


def test_differences_are_found() -> None:
    then = {"a": [1, {"b": 2}], "c": "x"}
    assert differences({"a": [1, {"b": 2, "new": 3}], "c": "x"}, then) == []
    assert differences({"a": [1, {"b": 3}]}, then) == ["report.c is gone", "report.a[1].b is 3, was 2"]
    assert differences({"a": [1], "c": "x"}, then) == ["report.a is [1], was [1, {'b': 2}]"]
