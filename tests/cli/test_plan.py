"""`orchestrate plan` and `ls` on a real repository: shows, freezes, selects, refuses; never changes anything."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrate.core import events as ev
from orchestrate.core.names import AttemptKey
from orchestrate.core.plan import Feature, build_plan
from orchestrate.spec.frozen import parse_frozen, render_plan
from orchestrate.store.artifacts import StateDir
from orchestrate.store.log import SqliteEventLog
from tests.support.repos import Repo, assert_untouched

from .conftest import DIAMOND, Cli

RUN = "20260101-120000-abcd"


def test_text(cli: Cli, shop: Repo) -> None:
    shown = cli("plan", at=shop.path)
    assert shown.code == 0
    lines = shown.out.splitlines()
    assert lines[0] == "Shop: 4 features in 3 waves, 3 agents at a time"
    assert lines[1].split() == ["base", "main", "at", shop.head()[:10]]
    assert [line.split()[:4] for line in lines[6:10]] == [
        ["●", "base", "wave", "1"],
        ["├─●", "left", "wave", "2"],
        ["╰─│─●", "right", "wave", "2"],
        ["╰─┴─●", "top", "wave", "3"],
    ]
    assert "critical path  base → left → top" in shown.out
    assert shown.err.strip() == "next: orchestrate run"


def test_ascii_is_ascii(cli: Cli, shop: Repo) -> None:
    assert cli("plan", "--ascii", at=shop.path).out.isascii()


def test_json(cli: Cli, shop: Repo) -> None:
    with assert_untouched(shop):
        document = cli("plan", "--json", "-j", 2, "--select", "+left", at=shop.path).json
    assert document["schema"] == "orchestrate/plan-summary/v1"
    assert document["base"] == {"branch": "main", "commit": shop.head()}
    assert document["waves"] == [["base"], ["left"]]
    assert document["parallel"] == 2
    assert document["totals"]["features"] == 2
    assert document["totals"]["listed"] == 4
    assert document["selection"] == "--select '+left'"
    assert [f["branch"] for f in document["features"]] == ["orch/<run>/feature/base/1", "orch/<run>/feature/left/1"]
    assert cli("plan", "--format", "json", "-j", 2, "-s", "+left", at=shop.path).json == document


def test_nothing_is_created(cli: Cli, shop: Repo) -> None:
    before = sorted(p for p in shop.path.rglob("*"))
    cli("plan", at=shop.path)
    cli("ls", at=shop.path)
    cli("doctor", at=shop.path)
    cli(at=shop.path)
    assert sorted(p for p in shop.path.rglob("*")) == before


@pytest.mark.parametrize(("form", "beginning"), [("mermaid", "graph LR\n"), ("dot", "digraph plan {\n")])
def test_graphs(cli: Cli, shop: Repo, form: str, beginning: str) -> None:
    shown = cli("plan", "--format", form, at=shop.path)
    assert shown.out.startswith(beginning)
    assert shown.err == ""


def test_settings_for_this_once(cli: Cli, shop: Repo) -> None:
    shop.git("branch", "other")
    flags = ("--sequential", "--start-on", "integrated", "--schedule", "waves", "--base", "other", "--model", "opus")
    document = cli("plan", "--json", *flags, at=shop.path).json
    assert document["parallel"] == 1
    assert document["start_on"] == "integrated"
    assert document["schedule"] == "waves"
    assert document["base"]["branch"] == "other"
    assert {f["model"] for f in document["features"]} == {"opus"}


def test_frozen(cli: Cli, shop: Repo, tmp_path: Path) -> None:
    out = tmp_path / "plan.json"
    shown = cli("plan", "--select", "+left", "--out", out, at=shop.path)
    frozen = parse_frozen(out.read_text())
    assert shown.code == 0
    assert f"orchestrate run {out}" in shown.err
    assert frozen.base == shop.head()
    assert frozen.selection == "--select '+left'"
    assert list(frozen.plan.features) == list(frozen.prompts) == ["base", "left"]
    assert frozen.config == "config/feature_list.json"


def test_frozen_into_nowhere(cli: Cli, shop: Repo, tmp_path: Path) -> None:
    absent = tmp_path / "absent"
    refused = cli("plan", "--out", absent / "plan.json", at=shop.path)
    assert refused.code == 2
    assert f"there is no directory {absent}" in refused.err
    assert not absent.exists()
    refused = cli("plan", "--out", tmp_path, at=shop.path)
    assert refused.code == 2
    assert f"--out {tmp_path}: Is a directory" in refused.err


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        (["--select", "lft"], "no feature 'lft'", "did you mean left?"),
        (["--select", "top"], "top needs left; top needs right", "+top"),
        (["--select", "left,right"], "nothing selected", ""),
        (["--failed"], "nothing has been run", "orchestrate run"),
        (["--base", "mian"], "'mian' does not exist", "did you mean main?"),
        (["--sequential", "-j", "4"], "--sequential means one at a time", "leave one of them out"),
        (["--config", "none.json"], "no feature list at none.json", "orchestrate init"),
        (["--agent", "nobody"], "--agent", ""),
    ],
)
def test_refusals(cli: Cli, shop: Repo, arguments: list[str], message: str, hint: str) -> None:
    refused = cli("plan", *arguments, at=shop.path)
    assert refused.code == 2
    assert message in refused.err
    assert hint in refused.err
    assert refused.out == ""


def test_all_problems_of_the_list_are_shown_with_their_places(cli: Cli, shop: Repo) -> None:
    shop.write(
        {"config/feature_list.json": '{"features": [\n  {"id": "a", "promt": "x"},\n  {"id": "-D", "prompt": "x"}\n]}'}
    )
    refused = cli("plan", at=shop.path)
    assert refused.code == 2
    assert "config/feature_list.json:2:" in refused.err
    assert "config/feature_list.json:3:" in refused.err
    assert refused.err.count("hint:") >= 2


def test_a_cycle_is_printed(cli: Cli, shop: Repo) -> None:
    features = [{"id": "a", "prompt": "x", "depends_on": ["b"]}, {"id": "b", "prompt": "x", "depends_on": ["a"]}]
    shop.write({"config/feature_list.json": json.dumps({"features": features})})
    refused = cli("plan", at=shop.path)
    assert refused.code == 2
    assert "a → b → a" in refused.err or "b → a → b" in refused.err


# ── what earlier runs left ───────────────────────────────────────────────────────────────────────────────────────


def record_run(repo: Repo, integrated: tuple[str, ...]) -> None:
    """A run of the diamond in which those were integrated and everything else failed."""
    plan = build_plan([Feature(f["id"], depends_on=tuple(f.get("depends_on", ()))) for f in DIAMOND["features"]])
    state = StateDir(repo.path / ".git")
    state.create()
    started = ev.RunStarted(1.0, RUN, "Shop", repo.head(), "main", f"orch/{RUN}/integration", render_plan(plan))
    ends = [ev.AttemptEnded(2.0, fid, 1, 9, "integrated" if fid in integrated else "failed") for fid in plan.features]
    with SqliteEventLog(state.log) as log:
        log.append(RUN, [started, *ends, ev.RunEnded(3.0, "incomplete")])


def merge_work(repo: Repo, fid: str) -> None:
    """What integration leaves in the history: a merge commit with its trailer."""
    repo.git("checkout", "--quiet", "-b", f"work-{fid}")
    repo.commit(f"work on {fid}", {f"{fid}.txt": fid})
    repo.git("checkout", "--quiet", "main")
    message = f"Merge feature {fid}\n\nOrchestrate-Attempt: {AttemptKey(RUN, fid, 1)}\n"
    repo.git("merge", "--quiet", "--no-ff", "-m", message, f"work-{fid}")


def test_failed_is_what_the_last_run_did_not_integrate(cli: Cli, shop: Repo) -> None:
    record_run(shop, integrated=("base", "left"))
    merge_work(shop, "base")
    merge_work(shop, "left")
    document = cli("plan", "--failed", "--json", at=shop.path).json
    assert document["waves"] == [["right"], ["top"]]
    assert document["selection"] == "--failed"


def test_failed_needs_what_was_integrated_elsewhere(cli: Cli, shop: Repo) -> None:
    record_run(shop, integrated=("base", "left"))
    refused = cli("plan", "--failed", at=shop.path)
    assert refused.code == 2
    assert "right needs base; top needs left: neither selected nor part of the base" in refused.err


def test_failed_with_nothing_failed(cli: Cli, shop: Repo) -> None:
    record_run(shop, integrated=("base", "left", "right", "top"))
    refused = cli("plan", "--failed", at=shop.path)
    assert refused.code == 2
    assert "nothing failed in the last run" in refused.err


def test_a_need_that_the_base_contains_is_met(cli: Cli, shop: Repo) -> None:
    merge_work(shop, "base")
    assert cli("plan", "--select", "left", "--json", at=shop.path).json["waves"] == [["left"]]
    refused = cli("plan", "--select", "top", at=shop.path)
    assert refused.code == 2
    assert "top needs left; top needs right" in refused.err


# ── ls ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_ls(cli: Cli, shop: Repo) -> None:
    shown = cli("ls", at=shop.path)
    assert [line.split() for line in shown.out.splitlines()] == [
        ["base", "wave", "1", "core", "The", "base"],
        ["left", "wave", "2", "←", "base"],
        ["right", "wave", "2", "ui", "←", "base"],
        ["top", "wave", "3", "←", "left,", "right"],
    ]


def test_ls_selects_without_widening(cli: Cli, shop: Repo) -> None:
    assert cli("ls", "-q", "--select", "top tag:core", at=shop.path).out.split() == ["base", "top"]
    assert [f["id"] for f in cli("ls", "--json", "--exclude", "base+1", at=shop.path).json["features"]] == ["top"]


def test_ls_needs_no_repository(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "feature_list.json").write_text('{"features": [{"id": "a", "prompt": "x"}]}')
    assert cli("ls", "-q", at=tmp_path).out == "a\n"


# ── size ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_ten_thousand_features(tmp_path: Path) -> None:
    """Bounded generously: a cost that grows with the square of the number would take minutes."""
    features = [
        {"id": f"f{i}", "prompt": "x", "depends_on": [f"f{n}" for n in {i // 2, i // 3} if n < i]}
        for i in range(10_000)
    ]
    repo = Repo.make(tmp_path / "big", {"config/feature_list.json": json.dumps({"features": features})})
    program = "import sys; from orchestrate.cli import main; sys.exit(main(sys.argv[1:]))"
    done = subprocess.run(
        [sys.executable, "-c", program, "-C", str(repo.path), "plan"],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert "10000 features" in done.stdout
    assert len(done.stdout.splitlines()) < 60
    assert "--full lists them one by one" in done.stdout


def test_changes_that_are_not_in_the_base_are_said(cli: Cli, shop: Repo) -> None:
    shop.commit("code", {"a.py": "1\n", "b.py": "1\n"})
    # Neither a new file nor the feature list, which is read from the checkout as it stands.
    shop.write({"new.py": "1\n", "config/feature_list.json": json.dumps({**DIAMOND, "max_parallel": 2})})
    assert cli("plan", "--json", at=shop.path).json["notices"] == []
    shop.write({"a.py": "2\n"})
    (shop.path / "b.py").unlink()
    with assert_untouched(shop):
        shown = cli("plan", at=shop.path)
    [warning] = [line for line in shown.err.splitlines() if "not part of" in line]
    at = f"main at {shop.head()[:10]}"
    assert f"2 changed files are not part of {at} (a.py, b.py); agents start from the commit" in warning
    shop.git("switch", "--quiet", "-c", "elsewhere")
    assert "not part of" not in cli("plan", at=shop.path).err
    assert "not part of" not in cli("plan", "--base", shop.head(), at=shop.path).err
