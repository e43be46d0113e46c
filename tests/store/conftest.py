"""What the tests of the log share."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def log_path(tmp_path: Path) -> Path:
    """Where a log may be made."""
    return tmp_path / "state" / "log.sqlite3"
