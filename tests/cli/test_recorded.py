"""Commands that only read stay light, and work where nothing may be written."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support.logs import happy_diamond
from tests.support.repos import frozen_environ
from tests.support.statedir import Recording

HEAVY = ("networkx", "orchestrate.spec.models", "jinja2", "ruamel.yaml", "rich.live")


@pytest.mark.parametrize("command", [["status"], ["logs", "db"], ["history"], ["report", "--json"], ["diff", "db"]])
def test_reading_loads_nothing_heavy(recording: Recording, command: list[str]) -> None:
    recording.store_scenario(happy_diamond())
    program = f"""
import sys
from orchestrate.cli import main
main(sys.argv[1:])
print("loaded:", *[name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)
"""
    arguments = [sys.executable, "-c", program, "-C", str(recording.repo.path), *command]
    done = subprocess.run(arguments, env=frozen_environ(), capture_output=True, text=True, check=True)
    assert done.stderr.splitlines()[-1] == "loaded:"
