"""The table of commands: all are there, all can be called, help is fit for an 80-column terminal."""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path

import pytest

from orchestrate.cli import app
from orchestrate.cli.app import COMMANDS, Invocation, run_typer
from orchestrate.cli.context import Given, Session
from tests.support.repos import Repo

from .conftest import Cli


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_its_module_and_help(cli: Cli, name: str) -> None:
    command = getattr(importlib.import_module(f"orchestrate.cli.{name}"), name)
    first = next(iter(inspect.signature(command, eval_str=True).parameters.values()))
    assert first.annotation is Session
    shown = cli(name, "--help")
    assert shown.code == 0
    assert shown.out.startswith(f"Usage: orchestrate {name}")
    assert f"orchestrate {name}" in shown.out.split("Options:")[0].split("\n", 1)[1], "help shows an example"
    assert "Everywhere:" in shown.out
    assert all(len(line) <= 80 for line in shown.out.splitlines())
    assert not set("╭╮╰╯│─") & set(shown.out)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("cancel", "[FEATURE]..."),
        ("answer", "FEATURE TEXT"),
        ("resume", "[RUN]"),
        ("run", "[PLAN]"),
        ("recover", "[FEATURE[@N]]"),
        ("completion", "shell"),
    ],
)
def test_arguments_are_spelled_as_manuals_do(cli: Cli, name: str, arguments: str) -> None:
    shown = cli(name, "--help").out
    assert shown.splitlines()[0] == f"Usage: orchestrate {name} [OPTIONS] {arguments}"
    assert "<str>" not in shown and "list[str]" not in shown and "<path>" not in shown.split("Options:")[0]


def test_a_run_that_is_steered_is_named_as_everywhere(cli: Cli) -> None:
    for name in ("pause", "resume", "stop", "cancel", "retry", "answer", "recover"):
        assert "@2 for the last but one" in " ".join(cli(name, "--help").out.split()), name


def test_help_lists_every_command_in_its_section(cli: Cli) -> None:
    shown = cli("--help")
    assert shown.code == 0
    lines = shown.out.splitlines()
    assert all(len(line) <= 80 for line in lines)
    for name, entry in COMMANDS.items():
        row = next(i for i, line in enumerate(lines) if line.startswith(f"  {name} ") and entry.summary in line)
        title = next(line for line in reversed(lines[:row]) if line and not line.startswith(" "))
        assert title == f"{entry.panel}:"


def test_examples_come_before_the_commands(cli: Cli) -> None:
    out = cli("--help").out
    assert out.index("orchestrate demo") < out.index("Plan & run:")


def test_options_count_before_and_after_the_name(shop: Repo) -> None:
    invocation = Invocation()
    code = run_typer(["-C", str(shop.path), "-q", "ls", "-C", "config", "-q", "--ascii", "--no-input"], invocation)
    assert code == 0
    assert invocation.session is not None
    assert invocation.session.start == (shop.path / "config").resolve()
    assert invocation.session.printer.verbosity == -2
    assert invocation.session.printer.out.ascii_only
    assert not invocation.session.can_ask


def test_what_is_said_later_wins() -> None:
    early = Given(Path("a"), "always", quiet=1, debug=True)
    assert early.merged(Given(Path("b"), "never", quiet=1, ascii_only=True)) == Given(
        Path("a/b"), "never", ascii_only=True, quiet=2, debug=True
    )
    assert early.merged(Given()) == early


def test_no_two_commands_share_a_summary() -> None:
    assert len({entry.summary for entry in app.COMMANDS.values()}) == len(app.COMMANDS)
