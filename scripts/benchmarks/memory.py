"""(f) The engine's peak memory while an agent prints 200 MB, against an agent that says one sentence."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from time import sleep

from .processes import ENVIRON, ORCHESTRATE
from .repository import build_repository
from .table import Row

MB = 200
LOOK_EVERY_S = 0.02


def measure() -> Iterator[Row]:
    quiet = _peak_mb({"say": "Nothing to tell."})
    for stream in ("stdout", "stderr"):
        loud = _peak_mb({"flood": {"mb": MB, "to": stream}})
        yield Row("f", f"peak memory, {MB} MB of {stream}", loud, "MB", "one sentence", quiet, 1.5)


def _peak_mb(step: dict[str, object]) -> float:
    """VmHWM of the engine's own process, as last seen while it ran."""
    with TemporaryDirectory() as directory:
        root = Path(directory) / "repo"
        root.mkdir()
        play = [step, {"write": {"path": "made.txt", "text": "made\n"}}]
        (root / "script.json").write_text(json.dumps({"features": {"*": [play]}}), encoding="utf-8")
        scripted = {"script": str(root / "script.json")}
        build_repository(root, [{"id": "loud", "prompt": "Write."}], agent="scripted", scripted=scripted)
        argv = [ORCHESTRATE, "run", "--yes", "--config", "list.json", "--progress", "none"]
        run = subprocess.Popen(argv, cwd=root, env=ENVIRON, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        peak_kb = 0
        while run.poll() is None:
            peak_kb = max(peak_kb, _high_water_kb(run.pid))
            sleep(LOOK_EVERY_S)
        if run.returncode:
            raise SystemExit(f"the run with {step} failed (exit code {run.returncode})")
    return peak_kb / 1024


def _high_water_kb(pid: int) -> int:
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    except FileNotFoundError:  # it ended between the two looks
        return 0
    return next((int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:")), 0)
