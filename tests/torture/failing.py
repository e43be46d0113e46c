"""Dying at a named place, in one of the ways through the program that lead there, and coming to the end all the same.

A death is written `<flow>/<point>` or `<flow>/<point>:<k>` for the k-th time that the point is reached.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from orchestrate.failpoint import LOG_VARIABLE, VARIABLE
from tests.e2e.project import RUN, Ended, Project
from tests.torture import plans
from tests.torture.kills import STARTS, Verdict, way_on
from tests.torture.oracle import Oracle, living, status_of
from tests.torture.plans import Plan

Command = tuple[str, ...]

CLEANUP = ("cleanup", "--all", "--yes")


@dataclass(frozen=True, slots=True)
class Flow:
    """plan: what is run. before: commands that lead there, each with the point at which it dies, if it does. command: the
    one that is to die. settings: of the run."""

    plan: Callable[[], Plan]
    command: Command
    before: tuple[tuple[Command, str], ...] = ()
    settings: tuple[tuple[str, object], ...] = ()


_HALTED: tuple[tuple[Command, str], ...] = ((RUN, ""),)

FLOWS = {
    "run": Flow(plans.pair, RUN),
    "beside": Flow(plans.three, RUN),
    "halt": Flow(plans.halting, RUN),
    "pace": Flow(plans.waiting_for_a_save, RUN, settings=(("checkpoints", {"every_seconds": 0.05}),)),
    "resume": Flow(plans.pair, ("resume", "--json"), ((RUN, "log.InvocationProgressed.after"),)),
    "cancel": Flow(plans.halting, ("cancel", "two", "--yes"), _HALTED),
    "pause": Flow(plans.halting, ("pause",), _HALTED),
    "retry": Flow(plans.halting, ("retry", "--yes", "--json"), (*_HALTED, (("cancel", "two", "--yes"), ""))),
    "again": Flow(plans.halting, ("resume", "--json"), _HALTED),
    "cleanup": Flow(plans.pair, CLEANUP, ((RUN, ""),)),
}
"""By what the program is doing; a point is counted to the first of them that reaches it."""


def arranged(directory: Path, flow: Flow) -> Project:
    """A project that stands where the flow's command is the next."""
    project = Project(directory)
    flow.plan().arrange(project, **dict(flow.settings))
    for command, point in flow.before:
        orchestrate(project, command, point)
    return project


def orchestrate(project: Project, command: Command, point: str = "") -> Ended:
    """Run it, and see it die at that point if one is given."""
    if point:
        project.env[VARIABLE] = point
    ended = project.orchestrate(*command)
    project.env.pop(VARIABLE, None)
    assert not point or ended.code == -9, f"{point} was not reached: {ended}"
    return ended


def reached(directory: Path, name: str) -> list[str]:
    """Names of the points that the flow's command reaches, as often as it does."""
    project = arranged(directory, FLOWS[name])
    log = project.home / "points"
    log.touch()
    project.env[LOG_VARIABLE] = str(log)
    orchestrate(project, FLOWS[name].command)
    return log.read_text().split()


def every_death(directory: Path) -> list[str]:
    """Each flow, each point, each time that it is reached."""
    deaths = []
    for name in FLOWS:
        (directory / name).mkdir()
        names = reached(directory / name, name)
        deaths += [f"{name}/{point}:{k}" for point in dict.fromkeys(names) for k in range(1, names.count(point) + 1)]
    return deaths


def run_death(directory: Path, death: str) -> Verdict:
    """Die there, start again until the run has ended, and ask the oracle."""
    name, _, point = death.partition("/")
    flow, verdict = FLOWS[name], Verdict(0, ["kill"])
    project = arranged(directory, flow)
    try:
        orchestrate(project, flow.command, point)
        ended = None
        while (status := status_of(project)) != "done" and verdict.engines < STARTS:
            ended = orchestrate(project, way_on(status))
            verdict.engines += 1
        if status != "done":
            verdict.faults.append(f"no end after {STARTS} starts, but {status}: {ended}")
            return verdict
        if flow.command == CLEANUP:
            verdict.faults += _after_cleanup(project)
        verdict.faults += Oracle(project, flow.plan()).faults()
    finally:
        for process in project.processes():
            process.kill()
    return verdict


def _after_cleanup(project: Project) -> list[str]:
    """The same command once more brings it to its end; then once more, there is nothing left to do."""
    again = orchestrate(project, CLEANUP)
    refs = project.git("for-each-ref")
    orchestrate(project, CLEANUP)
    left = [*project.worktrees(), *(branch for branch in project.branches() if "/feature/" in branch), *living(project)]
    return [
        *([f"cleanup fails: {again}"] if again.code else []),
        *(f"left: {thing}" for thing in left),
        *(["a further cleanup is not without effect"] if refs != project.git("for-each-ref") else []),
    ]
