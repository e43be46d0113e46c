"""A project to write files into."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.projects import Project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    root = tmp_path / "repository"
    (root / ".git").mkdir(parents=True)
    return Project(root, tmp_path / "home")
