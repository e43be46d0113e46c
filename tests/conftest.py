"""The frozen world of every test: no user configuration, fixed time zone and locale, no variables of ours or git's."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

settings.register_profile("fast", max_examples=50, deadline=None, derandomize=True)
settings.register_profile("deep", max_examples=2000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fast"))

REAL_AGENTS = "ORCHESTRATE_TEST_CLAUDE"
"""Colon-separated paths of Claude Code binaries for the tests marked real_agent."""


@pytest.fixture(scope="session", autouse=True)
def frozen_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The same environment on every machine; HOME is an empty directory."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith(("GIT_", "ORCHESTRATE_", "ANTHROPIC_", "CLAUDE", "XDG_")) and name != REAL_AGENTS:
                patch.delenv(name)
        for name in ("NO_COLOR", "FORCE_COLOR", "CLICOLOR_FORCE", "COLUMNS", "CI"):
            patch.delenv(name, raising=False)
        patch.setenv("HOME", str(home))
        patch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
        patch.setenv("GIT_CONFIG_SYSTEM", os.devnull)
        patch.setenv("LC_ALL", "C.UTF-8")
        patch.setenv("TZ", "UTC")
        yield


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if os.environ.get(REAL_AGENTS):
        return
    absent = pytest.mark.skip(reason=f"{REAL_AGENTS} names no Claude Code binary (.ci/run installs them)")
    for item in items:
        if item.get_closest_marker("real_agent"):
            item.add_marker(absent)
