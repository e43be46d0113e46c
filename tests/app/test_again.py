"""What comes after a run that did not integrate everything: nothing that was paid for is forgotten silently."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrate.app.planning import Wishes, last_result, make_plan
from orchestrate.app.running import run_order
from orchestrate.errors import OrchestrateError
from orchestrate.spec.load import load_project

from .test_running import build_order, follow, play

ONLY_SUB_IS_GREEN = "test ! -f mul.txt\n"


def test_failed_features_whose_needs_are_integrated_but_not_landed_say_where_to_start(tmp_path: Path) -> None:
    order = build_order(tmp_path, {"sub": play("sub"), "mul": play("mul")}, check=ONLY_SUB_IS_GREEN)
    assert last_result(order.repository) is None
    ran = run_order(order, follow)
    last = last_result(order.repository)
    assert last is not None and last.integrated == {"sub"} and last.branch == f"orch/{ran.run}/integration"
    with pytest.raises(OrchestrateError) as refused:
        make_plan(order.loaded, environ=order.environ, wishes=Wishes(failed=True))
    assert "mul needs sub" in refused.value.message and f"--base {last.branch}" in refused.value.hint
    from_there = load_project(
        start=order.loaded.root, config=None, environ=order.environ, flags={"base_branch": last.branch}
    )
    planned = make_plan(from_there, environ=order.environ, wishes=Wishes(failed=True))
    assert list(planned.plan.features) == ["mul"]


def test_a_need_that_was_never_integrated_is_to_be_selected(tmp_path: Path) -> None:
    order = build_order(tmp_path, {"sub": play("sub"), "mul": play("mul")}, check="exit 1\n")
    run_order(order, follow)
    with pytest.raises(OrchestrateError) as refused:
        make_plan(order.loaded, environ=order.environ, wishes=Wishes(select=("mul",)))
    assert "+mul" in refused.value.hint
