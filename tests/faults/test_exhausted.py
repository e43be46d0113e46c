"""Descriptors that run out in the middle of a run: the run waits until there are some again, and nothing has failed."""

from __future__ import annotations

import json
import resource
import sys

import pytest

from tests.e2e.project import RUN, Project

pytestmark = pytest.mark.skipif(not hasattr(resource, "prlimit"), reason=f"{sys.platform} cannot limit another process")


@pytest.mark.parametrize("limit", [3, 6, 9])
def test_descriptors_that_run_out_hold_the_run_until_they_are_back(project: Project, limit: int) -> None:
    """limit: below what the engine has open already; it keeps those, and gets none while its agent finishes."""
    gate = project.gate("gate")
    play = [*gate.stop, {"write": {"path": "one.txt", "text": "made\n"}}]
    project.write("config/script.json", json.dumps({"features": {"*": [play]}}))
    project.before = project.sacred()
    with project.running(*RUN) as running:
        gate.reached()
        pid = running.child.pid
        soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (limit, hard))
        gate.open()
        held = running.wait_for("PauseRequested", cause="machine", by="engine")
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, hard))
        ended = running.ended()
    assert held["now"] is False, "what runs may finish"
    assert ended.code == 0, ended
    assert ended.outcomes == {"one": "integrated"}, ended
    assert [e["end"] for e in ended.of("InvocationFinished")] == ["done"], ended
