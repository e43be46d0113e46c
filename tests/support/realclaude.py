"""Where the real Claude Code programs are, and the environment in which they can neither reach nor cost anything."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet

PATHS = "ORCHESTRATE_TEST_CLAUDE"
"""Environment variable: paths of Claude Code programs, separated by colons. Unset: tests marked real_agent are skipped."""

ENVIRONMENT = {
    "ANTHROPIC_API_KEY": "sk-ant-api03-made-up-for-tests",
    # An agent without a route of its own reaches nobody: nothing listens on the discard port (RFC 863).
    "ANTHROPIC_BASE_URL": "http://127.0.0.1:9",
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
}

MODEL = "claude-sonnet-4-5"
"""One whose list price every version knows."""

USD_PER_TOKEN = {
    "input_tokens": 3e-6,
    "cache_creation_input_tokens": 3.75e-6,
    "cache_read_input_tokens": 0.3e-6,
    "output_tokens": 15e-6,
}
"""List price of MODEL by the API's names of tokens. https://docs.claude.com/en/docs/about-claude/pricing"""


def programs() -> list[ParameterSet]:
    """Parameters for a test that runs once with every program."""
    paths = [Path(path) for path in os.environ.get(PATHS, "").split(":") if path]
    return [pytest.param(path, id=f"claude{n}") for n, path in enumerate(paths)] or [pytest.param(None, id="absent")]


def list_price(usage: Mapping[str, int]) -> float:
    """US dollars that these tokens of MODEL cost."""
    return sum(tokens * USD_PER_TOKEN[kind] for kind, tokens in usage.items())
