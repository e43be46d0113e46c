"""The examples in config/ load without a word of complaint."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrate.core.plan import build_plan
from tests.spec.test_schema import EXAMPLES
from tests.support.projects import Project


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_an_example_loads_and_can_be_planned(project: Project, path: Path) -> None:
    suffix = path.suffix
    project.write(f"config/feature_list{suffix}", path.read_bytes())
    loaded = project.load()
    plan = build_plan(loaded.features)
    assert loaded.notices == ()
    assert loaded.settings.verify
    assert len(plan.waves) >= 3
    assert max(len(wave) for wave in plan.waves) >= 2
