"""The command line. Importing this loads nothing; `--version` is answered before anything heavy is imported."""

from __future__ import annotations

import sys
from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line (default: this process's own) and return its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments and arguments[0] in ("--version", "-V"):
        from orchestrate import __version__

        try:
            print(f"orchestrate {__version__}", flush=True)  # noqa: T201 - nothing that prints is loaded yet
        except OSError:
            pass  # a closed pipe or a full disk: the one below says which
        else:
            return 0
    from orchestrate.cli.entry import run_arguments

    return run_arguments(arguments)
