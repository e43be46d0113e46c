"""What keeps the house in order: imports run one way, start-up stays light, everything says what it is."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrate.cli.app import COMMANDS
from orchestrate.spec.load import load_project

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "orchestrate"
OWN_PROGRAMS = PACKAGE / "app" / "demo_project"
"""A project of its own, written into the demo's repository; no part of ours."""

VALUES = {"CheckResult", "InvocationEnd", "Tokens"}
"""What the pure parts of adapters may take from core.events: values that events carry, not events."""


def modules() -> Iterator[Path]:
    return (path for path in sorted(PACKAGE.rglob("*.py")) if OWN_PROGRAMS not in path.parents)


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


# ── imports ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_imports_run_one_way() -> None:
    """The contracts in pyproject.toml. In a child: import-linter changes what is importable."""
    program = "from importlinter.cli import lint_imports; import sys; sys.exit(lint_imports(no_cache=True))"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_pure_parts_of_adapters_know_values_not_events() -> None:
    wrong = [
        f"{named(path)}: {alias.name}"
        for adapter in ("git", "agents", "verify")
        for path in sorted((PACKAGE / adapter).rglob("*.py"))
        if path.name != "perform.py"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and node.module in ("orchestrate.core.events", "orchestrate.core")
        for alias in node.names
        if (node.module == "orchestrate.core" and alias.name in ("events", "effects"))
        or (node.module == "orchestrate.core.events" and alias.name not in VALUES)
    ]
    assert wrong == []


def test_networkx_is_imported_inside_functions_only() -> None:
    (tree,) = (ast.parse(path.read_text()) for path in modules() if path == PACKAGE / "core" / "plan.py")
    at_the_top = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    assert not any("networkx" in ast.dump(node) for node in at_the_top)


# ── start-up ─────────────────────────────────────────────────────────────────────────────────────────────────────


def loaded_by(*arguments: str, at: Path) -> set[str]:
    """Names of all modules that one command line has imported, in an interpreter of its own."""
    program = (
        "import sys, json, io\n"
        "from orchestrate.cli import main\n"
        "code = main(sys.argv[1:])\n"
        "sys.stderr.write('\\n' + json.dumps([code, *sys.modules]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], cwd=at, capture_output=True, text=True, check=True
    )
    code, *names = json.loads(done.stderr.splitlines()[-1])
    assert code == 0, done.stderr
    return set(names)


def test_version_is_answered_before_anything_is_imported(tmp_path: Path) -> None:
    names = loaded_by("--version", at=tmp_path)
    assert not names & {"typer", "rich", "pydantic", "networkx", "asyncio", "pathlib", "logging"}
    assert {name for name in names if name.startswith("orchestrate")} == {"orchestrate", "orchestrate.cli"}


def test_help_imports_no_command_and_no_model(tmp_path: Path) -> None:
    names = loaded_by("--help", at=tmp_path)
    assert not names & {"networkx", "rich", "asyncio", "jinja2", "ruamel.yaml", "psutil", "sqlite3"}
    assert not names & {f"orchestrate.cli.{command}" for command in COMMANDS}
    assert not {name for name in names if re.match(r"orchestrate\.(spec|app|git|agents|store|engine|core)\b", name)}


@pytest.mark.parametrize("command", ["plan", "run", "status"])
def test_help_of_a_command_loads_no_graph_and_no_models(command: str, tmp_path: Path) -> None:
    names = loaded_by(command, "--help", at=tmp_path)
    assert not names & {"networkx", "orchestrate.spec.models", "jinja2", "ruamel.yaml"}


def test_reading_settings_needs_no_graph(tmp_path: Path) -> None:
    assert not loaded_by("config", "show", at=tmp_path) & {"networkx", "rich", "asyncio"}


# ── everything says what it is ───────────────────────────────────────────────────────────────────────────────────


def test_every_module_says_what_it_is() -> None:
    silent = [named(path) for path in modules() if not (ast.get_docstring(ast.parse(path.read_text())) or "").strip()]
    assert silent == []


def test_every_command_is_documented() -> None:
    """Somewhere in README or docs/, as it is typed."""
    text = "\n".join(p.read_text("utf-8") for p in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))])
    assert [name for name in COMMANDS if not re.search(rf"orchestrate {name}\b", text)] == []


# ── examples cannot rot ──────────────────────────────────────────────────────────────────────────────────────────

EXAMPLES = sorted(
    p for p in (ROOT / "config").rglob("*") if p.suffix in (".json", ".jsonc", ".yaml", ".yml", ".toml") and p.is_file()
)


@pytest.mark.parametrize("example", EXAMPLES, ids=named)
def test_examples_load(example: Path) -> None:
    loaded = load_project(start=ROOT, config=example, environ={"HOME": os.devnull}, flags={})
    assert loaded.features


def test_there_are_examples() -> None:
    assert EXAMPLES


# ── packaging ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_every_dependency_is_pinned() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    pins = [line.partition("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line]
    pinned = {name.lower().replace("_", "-").replace(".", "-") for name, _, _ in pins}
    bare = {re.split(r"[<>=!;\[ ]", text)[0].lower().replace("_", "-").replace(".", "-") for text in wanted}
    assert bare - pinned == set()


def test_locks_name_public_places_only() -> None:
    places = set(re.findall(r"https?://[^/\"]+|file:[^\"]*", (ROOT / "uv.lock").read_text()))
    assert places <= {"https://pypi.org", "https://files.pythonhosted.org"}


def test_scripts_can_be_called() -> None:
    scripts = [ROOT / ".ci/run", *(ROOT / "scripts" / name for name in ("check", "test", "demo", "bench"))]
    assert [named(script) for script in scripts if not os.access(script, os.X_OK)] == []
