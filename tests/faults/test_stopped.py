"""An engine that was stopped for a while (Ctrl-Z, SIGSTOP) takes nobody's silence in that time for a stall, and goes on."""

from __future__ import annotations

import json
import signal
import time

from orchestrate.engine.health import GAP_S
from tests.e2e.project import RUN, Project

STOPPED_S = GAP_S + 2.0
"""Real time has to pass: what is tested is that it is noticed."""


def test_a_stopped_engine_blames_nobody_for_its_own_absence(project: Project) -> None:
    gate = project.gate("gate")
    script = {"*": [[*gate.stop, {"write": {"path": "one.txt", "text": "made\n"}}]]}
    project.write("config/script.json", json.dumps({"features": script}))
    project.before = project.sacred()
    project.env["ORCHESTRATE_LIMITS__STALL_SECONDS"] = str(STOPPED_S - 1.0)
    with project.running(*RUN) as running:
        gate.reached()
        running.signal(signal.SIGSTOP)
        time.sleep(STOPPED_S)
        running.signal(signal.SIGCONT)
        warned = running.wait_for("Warned", feature="")
        gate.open()
        ended = running.ended()
    assert "was stopped, or had no processor" in warned["message"]
    assert ended.code == 0, ended
    assert [e["end"] for e in ended.of("InvocationFinished")] == ["done"]
