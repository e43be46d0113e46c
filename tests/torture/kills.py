"""A run that is killed, stopped and steered at random moments, gone on with until it ends, and then asked what was lost.

A cycle is told by its seed: what is done, how often, and when: so many events and milliseconds after an engine has begun.
Where exactly that strikes is up to the machine; everything else is the same again.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import psutil

from tests.e2e.project import COMMAND, PATIENCE_S, RUN, Project
from tests.torture import plans
from tests.torture.oracle import Oracle, living, status_of

RESUME = ("resume", "--json")
RETRY = ("retry", "--yes", "--json")

STARTS = 12
"""Engines after which a run must have come to its end when nothing disturbs it any more."""

EVENTS = 80
"""That an undisturbed run has, about."""

DELAY_S = 0.2
"""Longest delay of a deed behind the event that it waits for: longer than nearly everything that a run does takes."""

GONE_S = 20.0
"""Until everything that a dead engine had started must be gone; it takes a hundredth of that."""


@dataclass(frozen=True, slots=True)
class Deed:
    """What is done to a run. how: name in DEEDS. events: of the engine's, since its start or the last deed, after which it
    is done; delay_s: and seconds. waits: until nothing is alive any more, before anything else happens."""

    how: str
    events: int
    delay_s: float
    waits: bool


@dataclass
class Verdict:
    """What became of a cycle. done: what really struck, in order. engines: how many were started."""

    seed: int
    done: list[str] = field(default_factory=list)
    engines: int = 0
    faults: list[str] = field(default_factory=list)

    @property
    def kills(self) -> int:
        """SIGKILLs."""
        return sum(name in DEADLY for name in self.done)

    def __str__(self) -> str:
        return f"seed {self.seed}: {', '.join(self.done) or 'nothing struck'}; {self.engines} engines"


def plan_deeds(seed: int, *, most: int = 6) -> list[Deed]:
    """What is done in the cycle of that seed; begins with a kill of the engine."""
    random = Random(seed)
    names, weights = [*WEIGHTS], [*WEIGHTS.values()]
    deeds = ["kill", *random.choices(names, weights, k=random.randint(0, most - 1))]
    most_events = [EVENTS, *[EVENTS // 4] * len(deeds)]
    return [
        Deed(how, random.randrange(events), random.random() * DELAY_S, random.random() < 0.5)
        for how, events in zip(deeds, most_events, strict=False)
    ]


def run_cycle(directory: Path, seed: int, *, most: int = 6) -> Verdict:
    """One repository, disturbed as the seed says, `most` times at most."""
    cycle = _Cycle(directory, seed)
    try:
        for deed in plan_deeds(seed, most=most):
            if not cycle.disturb(deed):
                break
        cycle.settle()
        cycle.clean_up()
    except Stuck as stuck:
        cycle.verdict.faults.append(str(stuck))
    finally:
        cycle.close()
    return cycle.verdict


def run_undisturbed(directory: Path) -> Verdict:
    """The same without a deed: what the oracle says then is wrong with the oracle."""
    cycle = _Cycle(directory, 0)
    try:
        cycle.settle()
    finally:
        cycle.close()
    return cycle.verdict


class Stuck(Exception):
    """The run does not come to its end."""


class _Cycle:
    def __init__(self, directory: Path, seed: int) -> None:
        self.random = Random(~seed)
        self.mark = f"{700_000 + os.getpid() % 100_000}.{seed}"
        self.project = Project(directory)
        self.plan = plans.wild(self.mark)
        self.plan.arrange(self.project)
        self.seen = 0
        self.verdict = Verdict(seed)
        self.child: subprocess.Popen[bytes] | None = None

    # ── the engine ───────────────────────────────────────────────────────────────────────────────────────────────

    def start(self, command: tuple[str, ...] = RUN) -> None:
        project = self.project
        self.said = project.home / f"engine-{self.verdict.engines}.txt"
        self.seen = 0
        with self.said.open("wb") as out:
            self.child = subprocess.Popen(
                [COMMAND, *command], cwd=project.root, env=project.env,
                stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True,
            )  # fmt: skip
        self.verdict.engines += 1

    @property
    def engine(self) -> subprocess.Popen[bytes]:
        assert self.child is not None
        return self.child

    def ended(self) -> int:
        """Wait for the engine's end. Raises Stuck."""
        try:
            return self.engine.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            raise Stuck(f"no end in {PATIENCE_S:g} s: {self._words()}") from None

    def _words(self) -> str:
        return self.said.read_text("utf-8", "replace")[-3000:]

    def _lives_until(self, deed: Deed) -> bool:
        """Wait for the moment of the deed. False: the engine ends before."""
        self.seen += deed.events
        while self.said.read_bytes().count(b"\n") < self.seen:
            if self.engine.poll() is not None:
                return False
            time.sleep(0.005)
        self.seen = self.said.read_bytes().count(b"\n")
        try:
            self.engine.wait(deed.delay_s)
        except subprocess.TimeoutExpired:
            return True
        return False

    # ── a cycle ──────────────────────────────────────────────────────────────────────────────────────────────────

    def disturb(self, deed: Deed) -> bool:
        """Do it at its moment, to an engine that is at work. False: the run is over."""
        if self.child is None or self.child.poll() is not None:
            status = status_of(self.project)
            if status == "done":
                return False
            self.start(way_on(status))
        if not self._lives_until(deed):
            return status_of(self.project) != "done"
        if DEEDS[deed.how](self) is not False:
            self.verdict.done.append(deed.how)
        if deed.waits and self.engine.poll() is not None:
            self.require_silence(f"after {deed.how}")
        return True

    def settle(self) -> None:
        """Undisturbed from here on, until the run is done; then ask the oracle. Raises Stuck."""
        for _ in range(STARTS):
            if self.child is not None and self.child.poll() is None:
                self.command("resume")  # in case it was told to pause
                self.ended()
            status = status_of(self.project)
            if status == "done":
                return self.ask()
            self.start(way_on(status))
            self.ended()
        raise Stuck(f"no end after {STARTS} engines, status {status_of(self.project)}: {self._words()}")

    def clean_up(self) -> None:
        """Kill a cleanup in the middle, do it again, and see that nothing that agents wrote went with it."""
        self.start(("cleanup", "--all", "--yes"))
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.engine.wait(self.random.random() * 0.6)
        if self.engine.poll() is None:
            self.engine.kill()
            self.verdict.done.append("kill cleanup")
        self.engine.wait()
        self.start(("cleanup", "--all", "--yes"))
        if self.ended() != 0:
            raise Stuck(f"the second cleanup fails: {self._words()}")
        if left := self.project.worktrees():
            self.verdict.faults.append(f"worktrees after cleanup: {left}")
        self.ask()

    def ask(self) -> None:
        self.verdict.faults += Oracle(self.project, self.plan, self.mark).faults()

    def require_silence(self, when: str) -> None:
        """Wait until nothing is alive; a fault if that does not come about."""
        until = time.monotonic() + GONE_S
        while left := living(self.project, self.mark):
            if time.monotonic() > until:
                self.verdict.faults.append(f"alive {when}: {left}")
                return
            time.sleep(0.02)

    def command(self, *arguments: str) -> int:
        """One of the short commands, from another terminal."""
        ended = self.project.orchestrate(*arguments)
        if ended.code not in (0, 1, 2):
            self.verdict.faults.append(f"{arguments}: {ended}")
        return ended.code

    def close(self) -> None:
        """Nothing of ours outlives the cycle, whatever it has come to."""
        if self.child is not None and self.child.poll() is None:
            self.child.kill()
            self.child.wait()
        for words in living(self.project, self.mark):
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(words.split()[0]), signal.SIGKILL)

    # ── what is done to it ───────────────────────────────────────────────────────────────────────────────────────

    def kill(self) -> None:
        self.engine.kill()
        self.engine.wait()

    def freeze(self) -> None:
        """The engine stands still for a while, then dies of it."""
        self.engine.send_signal(signal.SIGSTOP)
        time.sleep(self.random.random() * 0.5)
        self.kill()

    def terminate(self) -> None:
        self.engine.send_signal(signal.SIGTERM)
        self.ended()

    def hang_up(self) -> None:
        self.engine.send_signal(signal.SIGHUP)
        self.ended()

    def interrupt_thrice(self) -> None:
        for _ in range(3):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.engine.pid, signal.SIGINT)
            time.sleep(self.random.random() * 0.1)
        self.ended()

    def kill_supervisor(self) -> bool:
        return self._kill_one(lambda process: process.name() == "orchestrate-sup")

    def kill_reaper(self) -> bool:
        return self._kill_one(lambda process: process.name() in ("orchestrate-one", "orchestrate-kin"))

    def kill_agent(self) -> bool:
        return self._kill_one(lambda process: "orchestrate.agents.scripted" in process.cmdline())

    def _kill_one(self, wanted: Callable[[psutil.Process], bool]) -> bool:
        """One of the engine's descendants, if there is such a one."""
        found = []
        with contextlib.suppress(psutil.Error):
            for process in psutil.Process(self.engine.pid).children(recursive=True):
                with contextlib.suppress(psutil.Error):
                    if wanted(process):
                        found.append(process)
        if found:
            with contextlib.suppress(psutil.Error):
                self.random.choice(found).kill()
        return bool(found)

    def second_engine(self) -> None:
        """Another one, while this one is at work: refused, unless this one has just ended."""
        if self.command("run", "--resume", "--yes", "--json") == 0 and self.engine.poll() is None:
            self.verdict.faults.append("a second engine was let in")

    def pause(self) -> None:
        self.command("pause", *(["--now"] if self.random.random() < 0.5 else []))

    def resume(self) -> None:
        if self.engine.poll() is None:
            self.command("resume")

    def cancel(self) -> None:
        """A feature is given up; `retry` takes it up again in the end."""
        self.command("cancel", self.random.choice(["one", "two", "three", "four"]), "--yes")


def way_on(status: str) -> tuple[str, ...]:
    return RETRY if status == "incomplete" else RESUME if status else RUN


DEEDS: dict[str, Callable[[_Cycle], bool | None]] = {
    "kill": _Cycle.kill,
    "freeze and kill": _Cycle.freeze,
    "SIGTERM": _Cycle.terminate,
    "SIGHUP": _Cycle.hang_up,
    "three Ctrl-C": _Cycle.interrupt_thrice,
    "kill supervisor": _Cycle.kill_supervisor,
    "kill reaper": _Cycle.kill_reaper,
    "kill agent": _Cycle.kill_agent,
    "second engine": _Cycle.second_engine,
    "pause": _Cycle.pause,
    "resume": _Cycle.resume,
    "cancel": _Cycle.cancel,
}

WEIGHTS = {
    "kill": 10, "freeze and kill": 2, "SIGTERM": 1, "SIGHUP": 1, "three Ctrl-C": 1, "kill supervisor": 2, "kill reaper": 1,
    "kill agent": 1, "second engine": 1, "pause": 1, "resume": 1, "cancel": 2,
}  # fmt: skip

DEADLY = frozenset({"kill", "freeze and kill", "kill supervisor", "kill reaper", "kill agent", "kill cleanup"})
