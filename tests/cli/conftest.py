"""The command line inside the test's own process: same code, same streams, no start-up."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from orchestrate.cli import main
from tests.support.repos import Repo
from tests.support.statedir import Recording


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Cli = Callable[..., Outcome]


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    def run(*arguments: object, at: Path | None = None) -> Outcome:
        place = ["-C", str(at)] if at else []
        code = main([*place, *map(str, arguments)])
        out, err = capsys.readouterr()
        return Outcome(code, out, err)

    return run


DIAMOND = {
    "project": {"name": "Shop"},
    "verify": ["true"],
    "features": [
        {"id": "base", "name": "The base", "prompt": "Do base.", "tags": ["core"]},
        {"id": "left", "prompt": "Do left.", "depends_on": ["base"], "estimated_tokens": 90_000},
        {"id": "right", "prompt": "Do right.", "depends_on": ["base"], "tags": ["ui"]},
        {"id": "top", "prompt": "Do top.", "depends_on": ["left", "right"]},
    ],
}


@pytest.fixture
def shop(tmp_path: Path) -> Repo:
    """A repository with a feature list of four features in a diamond."""
    return Repo.make(tmp_path / "shop", {"config/feature_list.json": json.dumps(DIAMOND, indent=2)})


@pytest.fixture
def recording(tmp_path: Path) -> Recording:
    """A repository in which nothing has been run yet, and where runs can be recorded."""
    return Recording.make(tmp_path / "recorded")
