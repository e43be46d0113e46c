"""What is said of a checkout before a run."""

from __future__ import annotations

import pytest

from orchestrate.app.notices import usual_products


@pytest.mark.parametrize(
    ("command", "products"),
    [
        ("python3 -m venv .venv && .venv/bin/pip install -q -e .", (".venv",)),
        ("python3 -m venv --upgrade-deps env; env/bin/pip install x", ("env",)),
        ("virtualenv -q venv", ("venv",)),
        ("python3 -m venv /opt/shared", ()),
        ("npm ci", ("node_modules",)),
        ("pnpm install --frozen-lockfile", ("node_modules",)),
        ("npm install -g yarn", ()),
        ("cd web && npm ci", ()),
        ("npm ci --prefix web", ()),
        ("npm test", ()),
    ],
)
def test_products_are_told_by_the_command(command: str, products: tuple[str, ...]) -> None:
    assert usual_products([command]) == products


def test_each_product_is_named_once() -> None:
    assert usual_products(["npm ci", "python3 -m venv .venv", "npm install"]) == ("node_modules", ".venv")
