"""The long runs: hundreds of kills, every fail point at every time that it is reached. See scripts/torture."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from tests.torture.failing import every_death, run_death
from tests.torture.kills import Verdict, run_cycle

MOST = 6
"""Disturbances in one cycle, at most."""


@dataclass
class Tally:
    """What a long run amounts to."""

    struck: Counter[str] = field(default_factory=Counter)
    cycles: int = 0
    kills: int = 0
    engines: int = 0
    failed: list[str] = field(default_factory=list)

    def add(self, name: str, verdict: Verdict, again: str) -> None:
        self.cycles += 1
        self.kills += verdict.kills
        self.engines += verdict.engines
        self.struck.update(verdict.done)
        if verdict.faults:
            self.failed.append(name)
            print(f"FAILED {name}: {verdict}")
            for fault in verdict.faults:
                print(f"       {fault[:2000]}")
            print(f"       again: {again}", flush=True)

    def __str__(self) -> str:
        rows = "\n".join(f"  {what:<18} {times:>6}" for what, times in self.struck.most_common())
        return f"{self.cycles} cycles, {self.kills} SIGKILLs, {self.engines} engines, {len(self.failed)} cycles with a fault\n{rows}"


def main(arguments: list[str]) -> int:
    options = _parser().parse_args(arguments)
    os.environ.update(GIT_CONFIG_GLOBAL=os.devnull, GIT_CONFIG_SYSTEM=os.devnull, LC_ALL="C.UTF-8", TZ="UTC")
    for name in [name for name in os.environ if name.startswith("ORCHESTRATE_")]:
        del os.environ[name]
    whats = {"kill": _kills, "failpoints": _deaths}
    begun = time.monotonic()
    failed = False
    for what in options.what.split(","):
        tally = whats[what](options)
        failed = failed or bool(tally.failed)
        print(f"\n{what}: {tally}\n  seconds            {time.monotonic() - begun:>6.0f}", flush=True)
    return 1 if failed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="scripts/torture", description=__doc__)
    parser.add_argument("--what", default="kill", help="kill, failpoints, or both with a comma")
    parser.add_argument("--kills", type=int, default=500, help="SIGKILLs after which no further cycle begins")
    parser.add_argument(
        "--cycles", type=int, default=0, help="cycles after which none begins; 0: as many as the kills need"
    )
    parser.add_argument("--seed", type=int, help="one cycle of this seed, and keep what it leaves behind")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2, help="cycles at a time")
    parser.add_argument("--point", default="", help="one fail point, such as run/git.commit.after:2")
    parser.add_argument("--every", type=int, default=1, help="only each so many-th of all deaths at fail points")
    return parser


def _kills(options: argparse.Namespace) -> Tally:
    tally = Tally()
    if options.seed is not None:
        directory = Path(tempfile.mkdtemp(prefix="torture-"))
        print(f"kept: {directory}")
        verdict = run_cycle(directory, options.seed, most=MOST)
        print(verdict)
        tally.add(f"seed {options.seed}", verdict, f"scripts/torture --seed {options.seed}")
        return tally
    with ProcessPoolExecutor(options.jobs) as pool:
        seed = options.first_seed
        while tally.kills < options.kills and not 0 < options.cycles <= tally.cycles:
            seeds = range(seed, seed + options.jobs * 4)
            seed = seeds.stop
            for each, verdict in zip(seeds, pool.map(_one_cycle, seeds), strict=True):
                tally.add(f"seed {each}", verdict, f"scripts/torture --seed {each}")
            print(f"{tally.cycles} cycles, {tally.kills} kills, {len(tally.failed)} faults", flush=True)
    return tally


def _deaths(options: argparse.Namespace) -> Tally:
    tally = Tally()
    with tempfile.TemporaryDirectory(prefix="torture-") as directory:
        deaths = [options.point] if options.point else every_death(Path(directory))[:: options.every]
    print(f"{len(deaths)} deaths", flush=True)
    with ProcessPoolExecutor(options.jobs) as pool:
        for death, verdict in zip(deaths, pool.map(_one_death, deaths), strict=True):
            tally.add(death, verdict, f"scripts/torture --what failpoints --point {death}")
            if tally.cycles % 50 == 0:
                print(f"{tally.cycles} deaths, {len(tally.failed)} faults", flush=True)
    return tally


def _one_cycle(seed: int) -> Verdict:
    return _in_scratch(lambda directory: run_cycle(directory, seed, most=MOST), seed)


def _one_death(death: str) -> Verdict:
    return _in_scratch(lambda directory: run_death(directory, death), 0)


def _in_scratch(work: Callable[[Path], Verdict], seed: int) -> Verdict:
    """In a directory of its own. A defect of the harness is a fault, too: it must not end the others."""
    directory = Path(tempfile.mkdtemp(prefix="torture-"))
    try:
        return work(directory)
    except Exception as defect:  # noqa: BLE001 - told as a fault of this cycle
        return Verdict(seed, faults=[f"{type(defect).__name__}: {defect}"])
    finally:
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
