"""A real log with several runs, many ways to damage a copy of it, and the judge of what is read from that."""

from __future__ import annotations

import random
import shutil
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
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


@dataclass(frozen=True)
class Case:
    """One kind of damage to one file of one picture, so many times."""

    picture: str
    file: str
    how: Damage
    times: int

    def __str__(self) -> str:
        return f"{self.how.__name__} {self.file} ({self.picture})"

    def run(self, pictures: Pictures, directory: Path, more: int = 1) -> Tally:
        """more: times as many. Raises AssertionError for anything that was read wrongly, naming the seed."""
        tally = Tally()
        content = (pictures.where / self.picture / self.file).read_bytes()
        for seed in range(self.times * more):
            damaged = bytearray(content)
            self.how(damaged, random.Random(seed))
            path = pictures.fresh_copy(self.picture, directory)
            path.with_name(self.file).write_bytes(damaged)
            try:
                judge(path, pictures.truth, tally)
            except BaseException as error:
                error.add_note(f"{self}, seed {seed}")
                raise
        return tally


MAIN, WAL = "log.sqlite3", "log.sqlite3-wal"

CASES = (
    Case("closed", MAIN, cut, 150),
    Case("killed", WAL, cut, 75),
    Case("carried over", WAL, cut, 75),
    Case("closed", MAIN, flip, 150),
    Case("killed", WAL, flip, 50),
    Case("carried over", WAL, flip, 50),
    Case("carried over", MAIN, flip, 50),
    Case("closed", MAIN, zero_sector, 50),
    Case("killed", WAL, zero_sector, 25),
    Case("carried over", WAL, zero_sector, 25),
)
"""300 cuts, 300 flipped bits, 100 zeroed sectors."""


def judge(path: Path, truth: Truth, tally: Tally) -> None:
    """Read everything in every way, then go on as an engine would. Each answer is a prefix of the truth or a refusal that
    names the backup; anything else fails."""
    outcomes = set()
    questions = [partial(_read_run, run=run, truth=truth) for run in truth.events] + [partial(_read_all, truth=truth)]
    for read_only, asked in ((True, questions), (False, [partial(_go_on, truth=truth)])):
        try:
            with SqliteEventLog(path, read_only=read_only) as log:
                for ask in asked:
                    try:
                        outcomes.add(ask(log))
                    except OrchestrateError as error:
                        _names_the_backup(error, path)
                        outcomes.add("refused")
        except OrchestrateError as error:
            _names_the_backup(error, path)
            outcomes.add("refused")
    for outcome in ("refused", "shorter", "whole"):
        if outcome in outcomes:
            setattr(tally, outcome, getattr(tally, outcome) + 1)
            return
    raise AssertionError(outcomes)


def _read_run(log: SqliteEventLog, run: str, truth: Truth) -> str:
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
    return "shorter" if len(events) < len(truth.events[run]) else "whole"


def _read_all(log: SqliteEventLog, truth: Truth) -> str:
    found: dict[str, list[ev.Event]] = {}
    for stored in log.tail():
        found.setdefault(stored.run, []).append(stored.event)
    assert set(log.runs()) <= found.keys() <= truth.events.keys()
    for run, events in found.items():
        assert events == truth.events[run][: len(events)]
    return "whole" if found == truth.events else "shorter"


def _folded(events: list[ev.Event]) -> object:
    if not events:
        return None
    begun = events[0]
    assert isinstance(begun, ev.RunStarted)
    state = fresh(begun.run, parse_plan(begun.plan), begun.base)
    for event in events:
        evolve(state, event)
    return repr(state)


def _go_on(log: SqliteEventLog, truth: Truth) -> str:
    """What an engine does at its start and after. What it then appends is there, and nothing else has changed by it."""
    log.back_up(0.0)
    before = log.tail()
    added = [*log.append("conflict", [ev.Warned(9e9, "", "on")]), *log.append("new", [ev.Warned(9e9, "", "we go")])]
    assert log.tail() == [*before, *added]
    assert log.verify() == len(before) + 2
    return "shorter" if len(before) < sum(map(len, truth.events.values())) else "whole"


def _names_the_backup(error: OrchestrateError, path: Path) -> None:
    names = [f"backups/{backup.name}" for backup in (path.parent / "backups").iterdir()]
    assert any(name in error.hint for name in names), (error.message, error.hint)
    assert "events; to put it in place: cd " in error.hint


def main() -> None:
    """`python -m tests.store.damage 10`: ten times as many of each; how they ended. Exit code 1 if one was read wrongly."""
    wrong = 0
    with tempfile.TemporaryDirectory() as directory:
        pictures = Pictures(Path(directory) / "pictures")
        for case in CASES:
            try:
                print(case, case.run(pictures, Path(directory) / "log", more=int(sys.argv[1])), flush=True)
            except AssertionError:
                traceback.print_exc()
                wrong += 1
    sys.exit(wrong > 0)


if __name__ == "__main__":
    main()
