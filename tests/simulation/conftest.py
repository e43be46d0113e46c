"""How long the simulations search: `fast` in every run of the tests, the same examples each time; `deep` on demand.

`ORCHESTRATE_TEST_PROFILE=deep pytest tests/simulation` draws new examples each time, and many more.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

settings.register_profile("simulation-fast", max_examples=160, deadline=None, derandomize=True)
settings.register_profile(
    "simulation-deep",
    max_examples=int(os.environ.get("ORCHESTRATE_TEST_EXAMPLES", "1000")),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)

simulated = settings.get_profile(f"simulation-{os.environ.get('ORCHESTRATE_TEST_PROFILE', 'fast')}")
"""Decorator of each simulation: applies the profile there, and nowhere else."""
