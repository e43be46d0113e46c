"""Anything that may be done to a log, in any order: it answers as the one in memory does, and is sound all the time."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from orchestrate.core import events as ev
from orchestrate.store.log import SqliteEventLog
from orchestrate.store.memory import MemoryEventLog
from tests.store.format1 import write_format_1

RUN = st.sampled_from(["a", "b", "20261121-111415-7f3a"])
EVENT = st.builds(ev.Warned, st.floats(0, 4e9), st.just("f"), st.text(max_size=20)) | st.builds(
    ev.InvocationProgressed, st.floats(0, 4e9), st.just("f"), st.just(1), st.integers(1, 9)
)
CONTROL = st.builds(ev.PauseRequested, st.floats(0, 4e9), st.text(max_size=5)) | st.builds(
    ev.CancelRequested, st.floats(0, 4e9), st.text(max_size=5), st.just(0), st.lists(st.text(max_size=3)).map(tuple)
)


class Log(RuleBasedStateMachine):
    """The same is done to both logs."""

    def __init__(self) -> None:
        super().__init__()
        self.where = Path(tempfile.mkdtemp(prefix="orchestrate-test-"))
        self.path = self.where / "0" / "log.sqlite3"
        self.number = 0
        self.memory = MemoryEventLog()
        self.disk = SqliteEventLog(self.path)
        self.reader = SqliteEventLog(self.path, read_only=True)
        self.is_new = True

    def teardown(self) -> None:
        self.reader.close()
        self.disk.close()
        shutil.rmtree(self.where)

    @precondition(lambda self: self.is_new)
    @rule(events=st.lists(EVENT, min_size=1, max_size=5))
    def was_begun_by_the_first_release(self, events: list[ev.Event]) -> None:
        self.reopen_at(self.where / "old" / "log.sqlite3", lambda path: write_format_1(path, {"a": events}))
        self.memory.append("a", events)
        self.is_new = False

    @rule(run=RUN, events=st.lists(EVENT, max_size=4))
    def append(self, run: str, events: list[ev.Event]) -> None:
        assert self.disk.append(run, events) == self.memory.append(run, events)
        self.is_new = False

    @rule(run=RUN, event=CONTROL)
    def request(self, run: str, event: ev.Event) -> None:
        before = self.reader.changes()
        assert self.disk.request(run, event) == self.memory.request(run, event)
        assert self.reader.changes() != before
        self.is_new = False

    @rule()
    def open_again(self) -> None:
        self.disk.close()
        self.disk = SqliteEventLog(self.path)

    @rule()
    def die(self) -> None:
        """What lies there when the engine is killed is gone on with: nothing was closed, nothing carried over."""
        self.number += 1
        self.reopen_at(
            self.where / f"died-{self.number}" / "log.sqlite3",
            lambda path: shutil.copytree(self.path.parent, path.parent, ignore=shutil.ignore_patterns("*-shm")),
        )

    @rule()
    def back_up(self) -> None:
        made = self.disk.back_up(0.0)
        if made is not None:
            with SqliteEventLog(made, read_only=True) as copy:
                assert copy.tail() == self.memory.tail()

    @precondition(lambda self: self.memory.tail())
    @rule(run=RUN, data=st.data())
    def ask_for_what_is_new(self, run: str, data: st.DataObject) -> None:
        after = data.draw(st.integers(0, len(self.memory.tail()) + 1))
        for log in (self.disk, self.reader):
            assert log.read(run, after) == self.memory.read(run, after)
            assert log.tail(after) == self.memory.tail(after)
            assert log.requests(run, after) == self.memory.requests(run, after)

    @invariant()
    def both_answer_alike(self) -> None:
        for log in (self.disk, self.reader):
            assert log.runs() == self.memory.runs()
            for run in self.memory.runs():
                assert log.read(run) == self.memory.read(run)
                assert (log.first(run), log.last(run)) == (self.memory.first(run), self.memory.last(run))
                assert log.requests(run) == self.memory.requests(run)
        assert self.disk.verify() == len(self.memory.tail())

    def reopen_at(self, path: Path, make: object) -> None:
        assert callable(make)
        make(path)
        self.reader.close()
        self.disk.close()
        self.path = path
        self.disk = SqliteEventLog(path)
        self.reader = SqliteEventLog(path, read_only=True)


TestLog = Log.TestCase
TestLog.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
