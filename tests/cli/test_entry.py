"""Every way in which a command line can end."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from orchestrate import __version__
from orchestrate.cli.entry import is_json_asked_for, platform_refusal, run_arguments
from orchestrate.errors import ExitCode, InputRefused, OrchestrateError, Problem

from .conftest import Cli

PROBLEMS = InputRefused(
    (
        Problem("expected a list", "write [..]", "config/f.json", 3, 7, "features"),
        Problem("unknown setting", "", "environment ORCHESTRATE_X"),
        Problem("no place at all"),
    )
)


def ended(error: BaseException, *arguments: str) -> int:
    def run(*_: object) -> int:
        raise error

    return run_arguments(arguments, run=run)


def test_refusal_takes_two_lines(capsys: pytest.CaptureFixture[str]) -> None:
    assert ended(OrchestrateError("no such branch 'x'", hint="git branch")) == 2
    out, err = capsys.readouterr()
    assert (out, err) == ("", "error: no such branch 'x'\n  hint: git branch\n")


def test_every_problem_of_the_input_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert ended(PROBLEMS) == 2
    assert capsys.readouterr().err.splitlines() == [
        "error: config/f.json:3:7: expected a list",
        "  hint: write [..]",
        "error: environment ORCHESTRATE_X: unknown setting",
        "error: no place at all",
        "error: 3 problems in the input; nothing was changed",
    ]


def test_a_single_problem_needs_no_count(capsys: pytest.CaptureFixture[str]) -> None:
    ended(InputRefused(PROBLEMS.problems[:1]))
    assert "problem in the input" not in capsys.readouterr().err


def test_with_json_a_refusal_is_json_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert ended(PROBLEMS, "plan", "--json") == 2
    out, err = capsys.readouterr()
    error = json.loads(out)["error"]
    assert err == ""
    assert error["code"] == 2
    assert error["message"] == "3 problems in the input; nothing was changed"
    assert error["problems"][0] == {
        "message": "expected a list",
        "hint": "write [..]",
        "source": "config/f.json",
        "line": 3,
        "column": 7,
        "where": "features",
    }


def test_exit_code_of_the_refusal_counts(capsys: pytest.CaptureFixture[str]) -> None:
    assert ended(OrchestrateError("spent", code=ExitCode.LIMIT)) == 3
    capsys.readouterr()


def test_a_defect_is_confessed_and_kept(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setenv("MY_TOKEN", "hunter2-hunter2")
    assert ended(RuntimeError("boom with hunter2-hunter2"), "run", "--yes") == 70
    out, err = capsys.readouterr()
    (crash,) = (tmp_path / "orchestrate" / "crashes").iterdir()
    assert out == ""
    assert err.startswith("error: this is a defect of orchestrate: RuntimeError: boom")
    assert str(crash) in err
    assert "Traceback" not in err
    kept = crash.read_text()
    assert "orchestrate run --yes" in kept
    assert "Traceback" in kept
    assert "hunter2" not in kept + err
    assert crash.stat().st_mode & 0o077 == 0


def test_a_defect_shows_its_traceback_when_asked(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setenv("ORCHESTRATE_DEBUG", "1")
    assert ended(RuntimeError("boom")) == 70
    assert "Traceback (most recent call last)" in capsys.readouterr().err


def test_a_defect_is_confessed_where_nothing_can_be_written(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    assert ended(RuntimeError("boom")) == 70
    assert "--debug" in capsys.readouterr().err


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt(), typer.Abort()])
def test_ctrl_c_ends_with_130(interrupt: BaseException, capsys: pytest.CaptureFixture[str]) -> None:
    assert ended(interrupt) == 130
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("arguments", [["--help"], ["plan", "--help"]])
def test_a_reader_that_leaves_is_no_error(arguments: list[str]) -> None:
    """The pipe's other end is closed before anything is written to it."""
    program = "import sys, os; from orchestrate.cli import main; os.read(0, 1); sys.exit(main(sys.argv[1:]))"
    child = subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert child.stdin and child.stdout and child.stderr
    with child.stdin, child.stdout, child.stderr:
        child.stdout.close()
        child.stdin.write(b"x")
        child.stdin.close()
        assert child.stderr.read() == b""
        assert child.wait() == 141


def test_version(cli: Cli) -> None:
    for arguments in (["--version"], ["-V"], ["-q", "--version"]):
        assert cli(*arguments).out == f"orchestrate {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        (["pln"], "no such command 'pln'", "did you mean 'plan'"),
        (["xyzzy"], "no such command 'xyzzy'", "orchestrate --help"),
        (["plan", "--jbs", "1"], "no such option: --jbs", "orchestrate plan --help"),
        (["plan", "extra"], "got unexpected extra argument(s) (extra)", "orchestrate plan --help"),
        (["plan", "-j"], "option '-j' requires an argument", "orchestrate plan --help"),
        (["plan", "-j", "x"], "--jobs: expected a whole number, got 'x'", "orchestrate plan --help"),
        (["plan", "-j", "0"], "--jobs: expected a whole number from 1 to 256, got 0", "orchestrate plan --help"),
        (["plan", "-j", "-1"], "--jobs: expected a whole number from 1 to 256, got -1", "orchestrate plan --help"),
        (["plan", "-j", "9" * 5000], "--jobs: expected a whole number from 1 to 256", "orchestrate plan --help"),
        (["plan", "--format", "svg"], "--format: 'svg' is not one of 'text', 'json', 'mermaid', 'dot'", "plan --help"),
        (["--color", "red", "plan"], "--color: 'red' is not one of 'auto', 'always', 'never'", "orchestrate --help"),
        (["run", "--max-cost", "x"], "--max-cost: expected a valid number", "orchestrate run --help"),
        (["-C", "/does/not/exist", "plan"], "-C /does/not/exist: there is no such directory", ""),
    ],
)
def test_bad_usage_is_refused_in_plain_words(cli: Cli, arguments: list[str], message: str, hint: str) -> None:
    ended = cli(*arguments)
    assert ended.code == 2
    assert ended.out == ""
    assert message in ended.err
    assert hint in ended.err
    assert len(ended.err.splitlines()) <= 2


def test_bad_usage_as_json(cli: Cli) -> None:
    assert cli("plan", "--json", "-j", "x").json["error"]["message"] == "--jobs: expected a whole number, got 'x'"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], False),
        (["plan"], False),
        (["plan", "--json"], True),
        (["plan", "--format", "json"], True),
        (["plan", "--format=json"], True),
        (["plan", "--format", "text"], False),
        (["plan", "--", "--json"], False),
    ],
)
def test_json_is_recognised_before_the_command_line_is_understood(arguments: list[str], expected: bool) -> None:
    assert is_json_asked_for(arguments) is expected


def test_windows_is_refused_with_a_way_out() -> None:
    refusal = platform_refusal("win32")
    assert refusal is not None
    assert "WSL" in refusal.hint
    assert platform_refusal("linux") is platform_refusal("darwin") is None
