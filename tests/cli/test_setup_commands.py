"""doctor, agents, config, schema, completion, and `orchestrate` alone."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

from orchestrate.cli.completion import completion
from orchestrate.cli.context import Session
from orchestrate.cli.home import home
from orchestrate.core import events as ev
from orchestrate.core.plan import Feature, build_plan
from orchestrate.engine.lock import acquire, this_process
from orchestrate.spec.frozen import render_plan
from orchestrate.store.artifacts import StateDir
from orchestrate.store.log import SqliteEventLog
from tests.support.logs import BRANCH, happy_diamond
from tests.support.repos import Repo
from tests.support.statedir import Recording
from tests.support.terminal import Terminal

from .conftest import Cli

RUN = "20260101-120000-abcd"


@pytest.fixture
def claude(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program called claude, first on PATH, that knows its version, and a key to sign in with."""
    program = tmp_path / "bin" / "claude"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho '2.1.329 (Claude Code)'\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "not-a-key")
    return program


def verdicts(document: dict[str, object]) -> dict[str, str]:
    findings = document["findings"]
    assert isinstance(findings, list)
    return {finding["name"]: finding["verdict"] for finding in findings}


# ── doctor ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_doctor_finds_everything_in_order(cli: Cli, shop: Repo, claude: Path) -> None:
    shown = cli("doctor", "--json", at=shop.path)
    assert shown.code == 0
    assert shown.json["schema"] == "orchestrate/doctor/v1"
    assert shown.json["ok"] is True
    found = verdicts(shown.json)
    assert {found[name] for name in ("python", "git", "repository", "state", "disk", "configuration")} == {"ok"}
    assert found["claude"] == "ok"
    text = cli("doctor", at=shop.path)
    assert f"2.1.329 ({claude}), signed in by ANTHROPIC_API_KEY" in " ".join(text.out.split())
    assert "4 features" in text.out
    assert text.err.strip() == "next: orchestrate plan"


def test_doctor_names_what_is_missing(cli: Cli, shop: Repo, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    git = subprocess.run(["which", "git"], capture_output=True, text=True, check=True).stdout.strip()
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/git").symlink_to(git)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    shown = cli("doctor", at=shop.path)
    assert shown.code == 1
    lines = shown.out.splitlines()
    row = next(i for i, line in enumerate(lines) if line.startswith("✗ claude"))
    assert lines[row + 1].strip() == "→ npm install -g @anthropic-ai/claude-code"
    assert "must be mended" in shown.err


def test_doctor_outside_of_a_repository(cli: Cli, tmp_path: Path, claude: Path) -> None:
    shown = cli("doctor", "--json", at=tmp_path)
    assert shown.code == 1
    assert verdicts(shown.json)["repository"] == "missing"
    assert verdicts(shown.json)["configuration"] == "note"


def test_doctor_says_when_the_configuration_does_not_load(cli: Cli, shop: Repo, claude: Path) -> None:
    shop.write({"config/feature_list.json": '{"features": [{"id": "a"}], "max_paralel": 1}'})
    shown = cli("doctor", at=shop.path)
    assert shown.code == 1
    assert "orchestrate plan shows them all" in shown.out


def test_doctor_says_when_nothing_is_checked(cli: Cli, shop: Repo, claude: Path) -> None:
    shop.write({"config/feature_list.json": '{"features": [{"id": "a", "prompt": "x"}]}'})
    shown = cli("doctor", at=shop.path)
    assert shown.code == 0
    assert "some features have no check" in shown.out


def test_doctor_says_that_nobody_is_signed_in(
    cli: Cli, shop: Repo, claude: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY")
    if sys.platform == "darwin":
        pytest.skip("the key chain is not looked into")
    shown = cli("doctor", at=shop.path)
    assert shown.code == 1
    assert "not signed in" in shown.out


def test_doctor_on_an_agent_without_an_account(cli: Cli, shop: Repo) -> None:
    settings = {"agent": "scripted", "scripted": {"script": "script.json"}, "verify": ["true"]}
    features = [{"id": "a", "prompt": "x"}]
    shop.write({"script.json": "{}", "config/feature_list.json": json.dumps({**settings, "features": features})})
    shown = " ".join(cli("doctor", at=shop.path).out.split())
    assert "needs no account" in shown and "signed in" not in shown


# ── agents, config, schema ───────────────────────────────────────────────────────────────────────────────────────


def test_agents(cli: Cli, shop: Repo, claude: Path) -> None:
    shown = cli("agents", at=shop.path)
    assert shown.out.splitlines()[0].split()[:4] == ["✓", "claude", "(default)", "2.1.329"]
    rows = {row["name"]: row for row in cli("agents", "--json", at=shop.path).json["agents"]}
    assert rows["claude"]["usable"] is True
    assert rows["claude"]["default"] is True
    assert rows["scripted"]["usable"] is False
    assert "scripted.script" in rows["scripted"]["hint"]


def test_config_says_where_values_come_from(cli: Cli, shop: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.write({"orchestrate.toml": "max_parallel = 7\n"})
    monkeypatch.setenv("ORCHESTRATE_LIMITS__MAX_COST_USD", "4.5")
    settings = cli("config", "show", "--json", at=shop.path).json["settings"]
    assert settings["max_parallel"] == {"value": 7, "origin": "orchestrate.toml:1"}
    assert settings["limits.max_cost_usd"] == {"value": 4.5, "origin": "environment ORCHESTRATE_LIMITS__MAX_COST_USD"}
    assert settings["agent"] == {"value": "claude", "origin": "default"}
    assert settings["verify"]["value"] == ["true"]
    rows = [line.split() for line in cli("config", "--origin", at=shop.path).out.splitlines()]
    assert ["max_parallel", "7", "orchestrate.toml:1"] in rows
    assert ["max_parallel", "7"] in [line.split() for line in cli("config", at=shop.path).out.splitlines()]


def test_config_shows_no_secret(cli: Cli, shop: Repo) -> None:
    shop.write({"orchestrate.toml": '[env]\nAPI_TOKEN = "hunter2-hunter2"\nMODE = "test"\n'})
    shown = cli("config", at=shop.path).out
    assert "hunter2" not in shown
    assert "env.MODE" in shown
    assert '"test"' in shown


def test_config_works_without_a_feature_list(cli: Cli, tmp_path: Path) -> None:
    assert cli("config", "--json", at=tmp_path).json["settings"]["max_parallel"]["value"] == 3


@pytest.mark.parametrize("kind", ["features", "settings", "report"])
def test_schema_is_one(cli: Cli, kind: str) -> None:
    schema = cli("schema", kind).json
    jsonschema.validators.validator_for(schema).check_schema(schema)
    assert schema == json.loads((Path(__file__).parents[2] / f"schemas/{kind}.schema.json").read_text())


# ── completion ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_script(cli: Cli, shell: str) -> None:
    script = cli(completion.__name__, shell)
    assert script.code == 0
    assert "_ORCHESTRATE_COMPLETE" in script.out
    assert f"complete_{shell}" in script.out


def offered(at: Path, words: str) -> list[str]:
    """What TAB offers after the words, in bash's protocol."""
    program = "import sys; from orchestrate.cli import main; sys.exit(main([]))"
    count = len(words.split(" ")) - 1
    environ = {**os.environ, "_ORCHESTRATE_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(count)}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=at, env=environ, capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("orchestrate pl", ["plan"]),
        ("orchestrate plan --sel", ["--select"]),
        ("orchestrate plan --select le", ["left"]),
        ("orchestrate plan --select +le", ["+left"]),
        ("orchestrate plan --select base,ta", ["base,tag:core", "base,tag:ui"]),
        ("orchestrate logs t", ["top"]),
        ("orchestrate status 2026", [RUN]),
        ("orchestrate resume 2026", [RUN]),
        ("orchestrate retry r", ["right"]),
        ("orchestrate cancel base ", ["left", "right", "top"]),
        ("orchestrate answer b", ["base"]),
    ],
)
def test_tab_offers(shop: Repo, words: str, expected: list[str]) -> None:
    record(shop)
    assert offered(shop.path, words) == expected


def test_tab_offers_the_features_of_the_run_where_there_is_no_list(recording: Recording) -> None:
    recording.store_scenario(happy_diamond())
    assert offered(recording.repo.path, "orchestrate logs d") == ["db", "dash"]


def test_tab_is_silent_when_files_are_broken(shop: Repo, tmp_path: Path) -> None:
    shop.write({"config/feature_list.json": "{"})
    assert offered(shop.path, "orchestrate plan --select b") == []
    assert offered(tmp_path, "orchestrate status 2") == []


# ── orchestrate alone ────────────────────────────────────────────────────────────────────────────────────────────


def record(repo: Repo, *last: ev.Event) -> StateDir:
    state = StateDir(repo.path / ".git")
    state.create()
    plan = render_plan(build_plan([Feature("base")]))
    started = ev.RunStarted(1.0, RUN, "Shop", repo.head(), "main", f"orch/{RUN}/integration", plan)
    with SqliteEventLog(state.log) as log:
        log.append(RUN, [started, ev.EngineStarted(1.0, 1), *last])
    return state


def test_home_outside_of_a_repository(cli: Cli, tmp_path: Path) -> None:
    shown = cli(at=tmp_path)
    assert shown.code == 0
    assert "not inside a git repository" in shown.out
    assert "next: orchestrate demo" in shown.out


def test_home_without_a_feature_list(cli: Cli, tmp_path: Path) -> None:
    repo = Repo.make(tmp_path / "r")
    assert "next: orchestrate init" in cli(at=repo.path).out


def test_home_with_a_feature_list(cli: Cli, shop: Repo) -> None:
    shown = cli(at=shop.path)
    assert shown.out.startswith("Shop: 4 features in ")
    assert "next: orchestrate plan" in shown.out


def test_home_with_a_broken_feature_list(cli: Cli, shop: Repo) -> None:
    shop.write({"config/feature_list.json": "{"})
    shown = cli(at=shop.path)
    assert shown.code == 0
    assert "1 problem" in shown.out
    assert "next: orchestrate plan" in shown.out


def test_home_after_a_run_that_broke_off(cli: Cli, shop: Repo) -> None:
    record(shop)
    shown = cli(at=shop.path)
    assert f"run {RUN} broke off" in shown.out
    assert "next: orchestrate resume" in shown.out


def test_home_after_a_finished_run(cli: Cli, shop: Repo) -> None:
    attempt = (ev.AttemptStarted(1.0, "base", 1, 1), ev.AttemptEnded(2.0, "base", 1, 9, "failed", "x"))
    record(shop, *attempt, ev.RunEnded(3.0, "incomplete"))
    assert "next: orchestrate logs base" in cli(at=shop.path).out


def test_home_while_a_run_goes_on(cli: Cli, shop: Repo) -> None:
    state = record(shop)
    held = acquire(state.engine_lock, this_process(run=RUN, command="orchestrate run", since=1.0))
    try:
        assert "next: orchestrate status" in cli(at=shop.path).out
    finally:
        held.release()


def test_a_narrow_terminal_gets_each_reason_on_a_line_of_its_own(recording: Recording) -> None:
    recording.store_scenario(happy_diamond())
    terminal = Terminal()
    printer = terminal.printer
    printer.out.is_terminal, printer.out.width = True, 80
    home(Session(recording.repo.path, dict(os.environ), printer))
    lines = terminal.out.getvalue().splitlines()
    assert lines[lines.index("") + 1 :][:4] == [
        f"next: git merge {BRANCH}",
        "          take over 4 features",
        "      orchestrate cleanup --merged",
        "          remove worktrees and branches that are merged",
    ]
