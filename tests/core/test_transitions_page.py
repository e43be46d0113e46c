"""The diagram in the docs is that of the table."""

from __future__ import annotations

import runpy
from pathlib import Path

from orchestrate.core.attempt import TRANSITIONS, Stage

ROOT = Path(__file__).parents[2]


def test_the_page_has_not_drifted() -> None:
    rendered = runpy.run_path(str(ROOT / "scripts" / "render_transitions"))["render_page"]()
    assert (ROOT / "docs" / "transitions.md").read_text("utf-8") == rendered, "run scripts/render_transitions"
    assert all(f"`{cls.__name__}`" in rendered for cls in TRANSITIONS)
    assert all(f"| {stage.value} |" in rendered for stage in Stage)
