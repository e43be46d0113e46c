"""Die at every named place, start again, and come to where an undisturbed run comes to."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrate.failpoint import arm, reach
from tests.torture.failing import FLOWS, reached, run_death
from tests.torture.points import POINTS


def listed(flow: str) -> set[str]:
    return {name for names in POINTS[flow].values() for name in names}


def listed_before(flow: str) -> set[str]:
    """What flows further up in the list reach."""
    before = list(FLOWS)[: list(FLOWS).index(flow)]
    return {name for earlier in before for name in listed(earlier)}


@pytest.mark.parametrize("flow", FLOWS)
def test_the_list_holds_every_point_that_is_reached(tmp_path: Path, flow: str) -> None:
    assert set(reached(tmp_path, flow)) - listed_before(flow) == listed(flow)


def test_there_are_at_least_sixty_points_in_all_areas() -> None:
    areas = {area for flow in POINTS.values() for area in flow}
    assert len({name for flow in POINTS for name in listed(flow)}) >= 60
    assert areas >= {"create", "run", "check", "integrate", "publish", "resume", "cleanup", "control"}


@pytest.mark.parametrize("death", [f"{flow}/{name}" for flow in POINTS for name in sorted(listed(flow))])
def test_who_dies_there_comes_to_the_same_end(tmp_path: Path, death: str) -> None:
    verdict = run_death(tmp_path, death)

    assert verdict.faults == [], f"again: scripts/torture --what failpoints --point {death}"


def test_the_report_of_an_earlier_engine_is_not_taken_for_that_of_the_end(tmp_path: Path) -> None:
    assert run_death(tmp_path, "again/log.RunEnded.after").faults == []


def test_without_the_variables_no_point_does_anything(tmp_path: Path) -> None:
    arm({})
    reach("log.*.before", "RunStarted")


def test_points_are_logged_as_they_are_reached(tmp_path: Path) -> None:
    log = tmp_path / "points"
    arm({"ORCHESTRATE_FAILPOINTS_LOG": str(log)})
    reach("a.*.before", "b", "c")
    reach("a.*.after")
    reach("d")
    arm({})

    assert log.read_text().split() == ["a.b.before", "a.c.before", "d"]
