"""A throw-away repository with a feature list, and an agent that takes no time: a shell script in Claude Code's place."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from .processes import ENVIRON

INSTANT_AGENT = """\
#!/bin/sh
# Speaks stream-json like Claude Code; writes one file, named after its directory.
case "$*" in *--version*) echo "2.1.329 (Claude Code)"; exit 0;; esac
read -r prompt
echo "made" > "${PWD##*/}.txt"
echo '{"type":"system","subtype":"init","session_id":"s","model":"instant","tools":[]}'
echo '{"type":"result","session_id":"s","subtype":"success","is_error":false,"result":"Done.","num_turns":1,"total_cost_usd":0,"usage":{}}'
"""


def build_repository(root: Path, features: Sequence[Mapping[str, object]] = (), **settings: object) -> None:
    """An initial commit with the list and, under `agent`, the instant agent; further keywords are settings."""
    agent = root / "agent"
    agent.write_text(INSTANT_AGENT, encoding="utf-8")
    agent.chmod(0o755)
    listed = {"features": list(features), "claude": {"command": str(agent)}, **settings}
    (root / "list.json").write_text(json.dumps(listed, indent=1), encoding="utf-8")
    for argv in (
        ("init", "-q", "-b", "main"),
        ("config", "user.name", "Bench"),
        ("config", "user.email", "bench@localhost"),
        ("add", "list.json"),
        ("commit", "-q", "-m", "base"),
    ):
        subprocess.run(("git", *argv), check=True, cwd=root, env=ENVIRON)
