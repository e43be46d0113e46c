"""(d) How long the command takes to say something."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from .processes import ORCHESTRATE, wall_times
from .table import Row

ONE_OPTION = """\
import typer

def main(name: str = "x") -> None:
    pass

typer.run(main)
"""


def measure() -> Iterator[Row]:
    with TemporaryDirectory() as directory:
        script = Path(directory) / "one_option.py"
        script.write_text(ONE_OPTION, encoding="utf-8")
        taken = wall_times(
            {
                "empty": [sys.executable, "-c", "pass"],
                "version": [ORCHESTRATE, "--version"],
                "typer": [sys.executable, str(script)],
                "help": [ORCHESTRATE, "--help"],
            },
            times=21,
            cwd=Path(directory),
        )
    ms = {name: seconds * 1000 for name, seconds in taken.items()}
    yield Row("d", "orchestrate --version", ms["version"], "ms", "an empty interpreter", ms["empty"], 2.0)
    yield Row("d", "orchestrate --help", ms["help"], "ms", "typer with one option", ms["typer"], 1.3)
