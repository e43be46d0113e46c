"""Wall time of child processes, measured in turn so that a busy machine is busy for all of them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from tempfile import gettempdir
from time import perf_counter

BIN = Path(sys.executable).parent
ORCHESTRATE = str(BIN / "orchestrate")
ENVIRON = {
    "PATH": f"{BIN}:{os.environ['PATH']}",
    "HOME": str(Path(gettempdir()) / "orchestrate-bench-home"),
    "LC_ALL": "C.UTF-8",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
}


def wall_times(commands: Mapping[str, Sequence[str]], *, times: int, cwd: Path | None = None) -> dict[str, float]:
    """Median seconds by name; one round of all to warm up, then `times` rounds of all."""
    taken: dict[str, list[float]] = {name: [] for name in commands}
    for turn in range(times + 1):
        for name, argv in commands.items():
            started = perf_counter()
            subprocess.run(argv, check=True, capture_output=True, env=ENVIRON, cwd=cwd)
            if turn:
                taken[name].append(perf_counter() - started)
    return {name: median(values) for name, values in taken.items()}
