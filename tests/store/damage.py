"""A real log with several runs, many ways to damage a copy of it, and the judge of what is read from that."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from orchestrate.core import events as ev
from orchestrate.core.state import evolve, fresh
from orchestrate.errors import OrchestrateError
from orchestrate.spec.frozen import parse_plan, render_plan
from orchestrate.store.log import SqliteEventLog
from tests.support.logs import SCENARIOS

RUNS = ("happy_diamond", "rework", "conflict", "failed_and_skipped", "restart")
STEP = 7
"""Events a transaction."""


@dataclass(frozen=True)
class Truth:
    """What was written: the events and requests of each run, in order."""

    events: dict[str, list[ev.Event]]
    requests: dict[str, list[ev.Event]]


def told(name: str) -> list[ev.Event]:
    """The events of one scenario, as of a run of that name."""
    scenario = SCENARIOS[name]()
    begun, *others = scenario.events
    assert isinstance(begun, ev.RunStarted)
    return [replace(begun, run=name, plan=render_plan(scenario.plan)), *others]


@dataclass
class Pictures:
    """The files of one log in three conditions, and its backup.

    `closed`: one file. `killed`: the engine died, all is in the write-ahead log. `carried over`: it died after half of
    that log had gone into the main file.
    """

    where: Path
    truth: Truth = field(default_factory=lambda: Truth({}, {}))

    def __post_init__(self) -> None:
        live = self.where / "live" / "log.sqlite3"
        live.parent.mkdir(parents=True)
        steps = list(self._steps())
        with SqliteEventLog(live) as log:
            for count, (run, batch) in enumerate(steps):
                if count == len(steps) // 2:
                    log.back_up(0.0)
                    self._copy(live, "killed")
                    assert log._connection is not None
                    log._connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
                if count % 5 == 2:
                    asked = ev.PauseRequested(float(count), f"anna@host-{count}", cause="operator")
                    log.request(run, asked)
                    self.truth.requests.setdefault(run, []).append(asked)
                log.append(run, batch)
                self.truth.events.setdefault(run, []).extend(batch)
            self._copy(live, "carried over")
        self._copy(live, "closed")

    @staticmethod
    def _steps() -> Iterator[tuple[str, list[ev.Event]]]:
        """All runs, interleaved as no engine would: the more there is between two events of one run, the better."""
        left = {name: told(name) for name in RUNS}
        while any(left.values()):
            for name, events in left.items():
                if events:
                    yield name, events[:STEP]
                    del events[:STEP]

    def _copy(self, live: Path, name: str) -> None:
        shutil.copytree(live.parent, self.where / name)
        (self.where / name / "log.sqlite3-shm").unlink(missing_ok=True)

    def fresh_copy(self, name: str, to: Path) -> Path:
        """The log's path in a copy that may be damaged."""
        if to.exists():
            shutil.rmtree(to)
        shutil.copytree(self.where / name, to)
        return to / "log.sqlite3"


@dataclass
class Tally:
    """How the cases ended."""

    whole: int = 0
    shorter: int = 0
    refused: int = 0


Damage = Callable[[bytearray, random.Random], None]


def cut(content: bytearray, rng: random.Random) -> None:
    del content[rng.randrange(len(content)) :]


def flip(content: bytearray, rng: random.Random) -> None:
    content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)


def zero_sector(content: bytearray, rng: random.Random) -> None:
    start = rng.randrange(len(content) // 512) * 512
    content[start : start + 512] = bytes(512)


def judge(path: Path, truth: Truth, tally: Tally) -> None:
    """Read everything in every way, then go on as an engine would. Each answer is a prefix of the truth or a refusal that
    names the backup; anything else fails."""
    refused = shorter = False
    for read_only in (True, False):
        try:
            with SqliteEventLog(path, read_only=read_only) as log:
                for run in truth.events:
                    try:
                        shorter |= _judge_run(log, run, truth)
                    except OrchestrateError as error:
                        refused = True
                        _names_the_backup(error, path)
                if not read_only:
                    _go_on(log, truth)
        except OrchestrateError as error:
            refused = True
            _names_the_backup(error, path)
    if refused:
        tally.refused += 1
    elif shorter:
        tally.shorter += 1
    else:
        tally.whole += 1


def _judge_run(log: SqliteEventLog, run: str, truth: Truth) -> bool:
    """Whether fewer were read than were written."""
    stored = log.read(run)
    events = [each.event for each in stored]
    assert events == truth.events[run][: len(events)]
    assert _folded(events) == _folded(truth.events[run][: len(events)])
    if stored:
        middle = stored[len(stored) // 2].seq
        assert log.read(run, middle) == [each for each in stored if each.seq > middle]
        assert (log.first(run), log.last(run)) == (stored[0], stored[-1])
    requests = [event for _, event in log.requests(run)]
    assert requests == truth.requests.get(run, [])[: len(requests)]
    assert {each.run for each in log.tail()} <= truth.events.keys()
    assert set(log.runs()) <= truth.events.keys()
    return len(events) < len(truth.events[run])


def _folded(events: list[ev.Event]) -> object:
    if not events:
        return None
    begun = events[0]
    assert isinstance(begun, ev.RunStarted)
    state = fresh(begun.run, parse_plan(begun.plan), begun.base)
    for event in events:
        evolve(state, event)
    return repr(state)


def _go_on(log: SqliteEventLog, truth: Truth) -> None:
    """What an engine does at its start and after. What it then appends is there, and nothing else has changed by it."""
    log.back_up(0.0)
    for run in truth.events:
        before = log.read(run)
        [added] = log.append(run, [ev.Warned(9e9, "", "on we go")])
        assert log.read(run) == [*before, added]
    log.verify()


def _names_the_backup(error: OrchestrateError, path: Path) -> None:
    [backup] = (path.parent / "backups").iterdir()
    assert f"backups/{backup.name}" in error.hint, (error.message, error.hint)
    assert "events; to put it in place: cd " in error.hint
