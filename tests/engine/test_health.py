"""Readings in, events out: when a run is held for want of room, and when it goes on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from orchestrate.core import events as ev
from orchestrate.engine.health import FULL, ROOM_AGAIN, Health, Judge, build_marks
from orchestrate.engine.vitals import MIB, Vitals, Volume

LOW_MB = 512
LOW, HIGH = LOW_MB * MIB, 640 * MIB
PLENTY = Vitals((Volume("/work", 10**11, 10**6),), 1000, 10**10, 1_000_000.0, 500.0, 400.0)


class Machine:
    """A judge, fed with one reading a second."""

    def __init__(self, low_mb: int = LOW_MB) -> None:
        self.judge = Judge(build_marks(low_mb))
        self.vitals = PLENTY

    def reads(self, seconds: float = 1.0, **changes: object) -> list[ev.Event]:
        """A reading after so long, with these changes from now on."""
        v = self.vitals
        moved = replace(v, wall=v.wall + seconds, elapsed=v.elapsed + seconds, awake=v.awake + seconds)
        self.vitals = replace(moved, **changes)  # type: ignore[arg-type]
        return self.judge.see(self.vitals, self.vitals.wall)

    def has(self, free: int, files: int | None = 10**6) -> list[ev.Event]:
        return self.reads(volumes=(Volume("/work", free, files),))

    def strikes(self, cause: ev.HoldCause = "disk") -> list[ev.Event]:
        return self.judge.strike(cause, "it failed", self.vitals, self.vitals.wall)


def words(made: Sequence[ev.Event]) -> list[str]:
    """Events as this test speaks of them."""
    said = []
    for event in made:
        match event:
            case ev.PauseRequested(by="engine", cause=cause, now=now):
                said.append(f"hold {cause}{' now' if now else ''}")
            case ev.ResumeRequested(by="engine", cause=cause):
                said.append(f"go on {cause}")
            case ev.Warned(message=message):
                said.append(message)
            case _:
                raise AssertionError(event)
    return said


# ── disks ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_disk_is_held_once_below_the_low_mark_and_released_above_the_high_one() -> None:
    machine = Machine()
    frees = [10**11, LOW, LOW - 1, LOW // 2, LOW, HIGH - 1, HIGH, LOW, LOW - 1]
    said = [words(machine.has(free)) for free in frees]
    assert said == [[], [], ["hold disk now"], [], [], [], ["go on disk"], [], ["hold disk now"]]


def test_the_hold_says_how_much_is_free_and_what_makes_room() -> None:
    (held,) = Machine().has(87_000_000)
    assert isinstance(held, ev.PauseRequested)
    assert held.why == "only 87 MB free at /work; orchestrate cleanup --merged makes room"


def test_few_files_are_like_few_bytes() -> None:
    machine = Machine()
    assert words(machine.has(10**11, 100)) == ["hold disk now"]
    assert words(machine.has(10**11, 1000)) == []
    assert words(machine.has(10**11, 1024)) == ["go on disk"]


def test_a_file_system_that_counts_no_files_has_enough() -> None:
    assert Machine().has(10**11, None) == []


def test_the_fullest_of_several_disks_counts() -> None:
    machine = Machine()
    made = machine.reads(volumes=(Volume("/state", 10**11), Volume("/trees", 5)))
    assert words(made) == ["hold disk now"]
    assert isinstance(made[0], ev.PauseRequested) and "/trees" in made[0].why


def test_a_disk_that_became_read_only_is_held() -> None:
    machine = Machine()
    (held,) = machine.reads(volumes=(Volume("/work", 10**11, None, read_only=True),))
    assert isinstance(held, ev.PauseRequested) and "read-only" in held.why
    assert words(machine.has(10**11)) == ["go on disk"]


def test_without_a_mark_only_a_failure_holds() -> None:
    machine = Machine(low_mb=0)
    assert machine.has(1, 1) == []
    assert words(machine.strikes()) == ["hold disk now"]


def test_after_a_failure_clearly_more_room_ends_the_hold_at_once() -> None:
    machine = Machine(low_mb=0)
    machine.has(1000)
    machine.strikes()
    assert machine.has(1000 + ROOM_AGAIN - 1) == []
    assert words(machine.has(1000 + ROOM_AGAIN)) == ["go on disk"]


def test_after_a_failure_with_no_more_room_it_is_tried_less_and_less_often() -> None:
    """A quota shows in no reading."""
    machine, waits = Machine(), []
    machine.has(10**11)
    for _ in range(10):
        assert words(machine.strikes()) == ["hold disk now"]
        seconds = 1
        while not machine.reads():
            seconds += 1
        waits.append(seconds)
    assert waits == [2, 4, 8, 16, 32, 64, 128, 256, 300, 300]
    machine.judge.succeed()
    machine.strikes()
    assert machine.reads() == [] and words(machine.reads()) == ["go on disk"]


def test_a_second_failure_is_not_said_twice_and_prolongs_the_hold() -> None:
    machine = Machine()
    machine.has(10**11)
    assert words(machine.strikes()) == ["hold disk now"]
    assert machine.reads() == []
    assert machine.strikes() == []
    assert [machine.reads() for _ in range(3)] == [[], [], []]
    assert words(machine.reads()) == ["go on disk"]


def test_a_failure_between_the_marks_does_not_wait_for_the_high_one() -> None:
    machine = Machine()
    machine.has((LOW + HIGH) // 2)
    machine.strikes()
    machine.reads()
    assert words(machine.reads()) == ["go on disk"]


# ── descriptors and memory ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("what", "low", "between", "high"),
    [("descriptors", 5, 9, 10), ("memory", 128 * MIB - 1, 256 * MIB - 1, 256 * MIB)],
)
def test_means_run_out_and_come_back(what: str, low: int, between: int, high: int) -> None:
    machine = Machine()
    assert words(machine.reads(**{what: low})) == ["hold machine"], "what runs may finish"
    assert machine.reads(**{what: between}) == []
    assert words(machine.reads(**{what: high})) == ["go on machine"]


def test_what_the_system_does_not_tell_holds_nothing() -> None:
    assert Machine().reads(descriptors=None, memory=None, volumes=()) == []


def test_both_causes_are_held_and_released_apart() -> None:
    machine = Machine()
    assert words(machine.reads(volumes=(Volume("/work", 1),), descriptors=1)) == ["hold disk now", "hold machine"]
    assert words(machine.reads(descriptors=500)) == ["go on machine"]
    assert words(machine.has(HIGH)) == ["go on disk"]


# ── clocks ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_sleep_is_told() -> None:
    machine = Machine()
    machine.reads()
    v = machine.vitals
    made = machine.reads(elapsed=v.elapsed + 7801, wall=v.wall + 7801)  # two hours and ten minutes, and a second awake
    assert words(made) == ["the machine was asleep for 2:10:00; agents are given that time back"]
    assert machine.reads() == []


def test_being_stopped_is_told() -> None:
    machine = Machine()
    machine.reads()
    assert machine.reads(seconds=5.9) == []
    made = words(machine.reads(seconds=13))
    assert made == ["this program was stopped, or had no processor, for 0:12; agents are given that time back"]


@pytest.mark.parametrize(
    ("step", "told"),
    [
        (-4.0, ""),
        (-5.0, "the clock was set back by 0:05; waits are not affected, times told here are ahead of it"),
        (-7200.0, "the clock was set back by 2:00:00; waits are not affected, times told here are ahead of it"),
        (59.0, ""),
        (60.0, "the clock was set forward by 1:00, or the machine was asleep; waits go by the new time"),
    ],
)
def test_a_clock_that_is_set_is_told(step: float, told: str) -> None:
    machine = Machine()
    machine.reads()
    made = words(machine.reads(wall=machine.vitals.wall + 1 + step))
    assert made == ([told] if told else [])
    assert machine.reads() == [], "once"


def test_the_first_reading_has_nothing_to_be_compared_with() -> None:
    assert Judge(build_marks(0)).see(replace(PLENTY, wall=0.0), 0.0) == []


# ── the shell ────────────────────────────────────────────────────────────────────────────────────────────────────


class Clock:
    def now(self) -> float:
        return 7.0


def test_the_ballast_goes_when_a_write_fails_and_comes_back_with_the_room() -> None:
    free, done = [1000], []

    def read() -> Vitals:
        return replace(PLENTY, volumes=(Volume("/work", free[0]),), elapsed=float(len(done)))

    def drop() -> None:
        done.append("drop")
        free[0] += ROOM_AGAIN

    health = Health(Judge(build_marks(0)), read, Clock(), on_full=drop, on_room=lambda: done.append("keep"))
    assert words(health.strike("disk", "full")[0]) == ["hold disk now"]
    assert health.look() == [], "the room that the ballast gave is not room for work"
    free[0] += ROOM_AGAIN
    assert words(health.look()) == ["go on disk"]
    assert done == ["drop", "keep"]
    health.strike("machine", "no descriptors")
    assert done == ["drop", "keep"], "a ballast helps disks only"


@pytest.mark.parametrize(
    ("changes", "lacking"),
    [
        ({}, None),
        ({"volumes": (Volume("/w", FULL),)}, None),
        ({"volumes": (Volume("/w", FULL - 1),)}, "disk"),
        ({"volumes": (Volume("/w", 10**11, 10),)}, "disk"),
        ({"descriptors": 5}, "machine"),
        ({"memory": MIB}, "machine"),
    ],
)
def test_what_is_used_up_is_what_leaves_no_room_for_any_work(changes: dict[str, Any], lacking: str | None) -> None:
    health = Health(Judge(build_marks(0)), lambda: replace(PLENTY, **changes), Clock())
    assert health.lacking() == lacking


def test_a_repository_that_cannot_be_used_holds_the_run_until_it_can() -> None:
    answers, asked = [""], []

    def ask(closely: bool) -> str:
        asked.append(closely)
        return answers[-1] if closely else ""

    health = Health(Judge(build_marks(0)), lambda: PLENTY, Clock(), ask=ask)
    assert health.lacking() is None and health.look() == []
    answers.append("the repository at /r cannot be used: HEAD is gone")
    assert health.look() == [], "as long as nothing fails, git is not asked each second"
    assert health.lacking() == "machine"
    [held] = health.strike("machine", health.unusable)[0]
    assert isinstance(held, ev.PauseRequested) and (held.cause, held.now, held.why) == ("machine", False, answers[-1])
    assert health.strike("machine", health.unusable)[0] == health.look() == []
    answers.append("")
    assert words(health.look()) == ["go on machine"], "at once, however often it was tried"
    assert asked == [True, False, False, True, True, True]


def test_a_repository_that_is_gone_is_seen_before_anything_fails() -> None:
    health = Health(Judge(build_marks(0)), lambda: PLENTY, Clock(), ask=lambda closely: "it is gone")
    assert words(health.look()) == ["hold machine"]
