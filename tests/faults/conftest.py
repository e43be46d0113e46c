"""A project for tests of the machine's faults; after each test the user's checkout is as it was, and nothing is left running."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.project import Project

ONE = [{"id": "one", "prompt": "x", "verify": ["test -s one.txt"]}]
SCRIPT = {"*": [[{"write": {"path": "@FEATURE@.txt", "text": "made\n"}}]]}


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """One feature, ready to run."""
    project = Project(tmp_path)
    project.arrange(ONE, script=SCRIPT)
    yield project
    left = project.processes()
    for process in left:
        process.kill()
    assert not left
    assert project.sacred() == project.before
