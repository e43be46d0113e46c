"""Fixtures of the end-to-end tests. After each test the user's checkout is as it was, and no process is left."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.project import Project
from tests.support.agent_api import AgentApi, serve_agent_api


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    project = Project(tmp_path)
    yield project
    left = project.processes()
    names = [f"{process.pid} {' '.join(process.cmdline())}" for process in left]
    for process in left:
        process.kill()
    assert not names
    assert project.sacred() == project.before


@pytest.fixture
def agent_api() -> Iterator[AgentApi]:
    with serve_agent_api() as api:
        yield api
