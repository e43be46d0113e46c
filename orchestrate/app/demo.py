"""The throw-away repository of the demo: a small real program, a feature list, and a script for the built-in agent.

The script is put together from demo_project/features/<feature>/<invocation>/, so that what the agent writes are real
files that can be read and tested as such.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from orchestrate.process import run_command_now

PROJECT = Path(__file__).parent / "demo_project"

PACE_S = {"words": 0.9, "files": 1.6, "counter": 0.8, "stopwords": 1.4, "report": 1.1, "cli": 0.9}
"""How long the stand-in pretends to think, so that there is something to watch."""


def build_demo(directory: Path, environ: dict[str, str]) -> None:
    """Fill the empty directory with the demo repository: one commit on `main`, whatever the user's git is set up to do.

    Raises OrchestrateError (through the caller) or OSError when git cannot be run.
    """
    shutil.copytree(PROJECT / "base", directory, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    script = directory / "config" / "script.json"
    script.write_text(json.dumps(render_script(), indent=1), encoding="utf-8")
    for args in (
        ("init", "-q", "-b", "main"),
        ("add", "-A"),
        (
            "-c",
            "commit.gpgSign=false",
            "commit",
            "-q",
            "--no-verify",
            "-m",
            "A program that counts words, and a plan for it",
        ),
    ):
        done = run_command_now(("git", *args), cwd=directory, env=environ)
        if not done.ok:
            raise OSError(f"git {args[0]} failed: {done.stderr.decode(errors='replace').strip()}")


def render_script() -> dict[str, Any]:
    """The script as docs/scripted-agent.md describes it."""
    features = sorted((PROJECT / "features").iterdir())
    return {"version": 1, "features": {d.name: _plays(d) for d in features if d.is_dir()}}


def _plays(feature: Path) -> list[list[dict[str, Any]]]:
    return [_play(feature.name, play) for play in sorted(feature.iterdir()) if play.is_dir()]


def _play(feature: str, play: Path) -> list[dict[str, Any]]:
    files = sorted(p for p in play.rglob("*.py"))
    steps: list[dict[str, Any]] = [{"say": "I look at the project first."}, {"wait": PACE_S[feature] / 2}]
    for file in files:
        steps.append({"write": {"path": str(file.relative_to(play)), "text": file.read_text(encoding="utf-8")}})
        steps.append({"wait": PACE_S[feature] / 2 / len(files)})
    steps.append({"usage": {"input": 3200, "output": 850, "cache_read": 14_000, "cost": 0.013}})
    steps.append({"say": f"Done: {', '.join(str(f.relative_to(play)) for f in files)}."})
    return steps
