"""A repository that cannot be used for a while costs no feature a try."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrate.app.running import run_order
from orchestrate.core import events as ev
from orchestrate.core.plan import Plan
from orchestrate.errors import ExitCode
from orchestrate.ports import Stored

from .test_running import Silent, build_order, play


def _without(name: str) -> Callable[[Path, bool], None]:
    def change(common: Path, back: bool) -> None:
        there, away = common / name, common / f"{name}.away"
        (away if back else there).rename(there if back else away)

    return change


def _of_a_later_format(common: Path, back: bool) -> None:
    old, new = "repositoryformatversion = 0", "repositoryformatversion = 99"
    config = common / "config"
    config.write_text(config.read_text().replace(*((new, old) if back else (old, new))))


@pytest.mark.parametrize("change", [_without("HEAD"), _without("objects"), _of_a_later_format])
@pytest.mark.parametrize("when", [ev.InvocationFinished, ev.AttemptVerified, ev.AttemptStarted])
def test_the_run_is_held_and_goes_on(
    tmp_path: Path, change: Callable[[Path, bool], None], when: type[ev.Event]
) -> None:
    order = build_order(tmp_path, {"sub": play("sub"), "mul": play("mul")})
    common = order.repository.common_dir
    seen: list[ev.Event] = []

    class Meddler(Silent):
        def __init__(self, run: str, plan: Plan) -> None:
            super().__init__(run, plan)
            self.is_broken = False

        def on_stored(self, stored: Stored) -> None:
            if isinstance(stored.event, when) and not any(isinstance(event, when) for event in seen):
                change(common, False)
                self.is_broken = True
            seen.append(stored.event)
            if isinstance(stored.event, ev.PauseRequested) and self.is_broken:
                change(common, True)
                self.is_broken = False

    ran = run_order(order, Meddler)
    assert (ran.status, ran.code) == ("done", ExitCode.DONE)
    [held] = [event for event in seen if isinstance(event, ev.PauseRequested)]
    assert held.cause == "machine" and held.why.startswith(
        f"the repository at {order.repository.toplevel} cannot be used"
    )
    assert len([event for event in seen if isinstance(event, ev.ResumeRequested)]) == 1
    outcomes = [event.outcome for event in seen if isinstance(event, ev.AttemptEnded)]
    assert outcomes.count("integrated") == 2 and set(outcomes) <= {"integrated", "interrupted"}
