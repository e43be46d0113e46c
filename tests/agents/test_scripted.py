"""The scripted agent as the program it is: its command line, its plays, what it refuses."""

from __future__ import annotations

import inspect
import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from orchestrate.agents.scripted.player import FAILURES, TAKEN, Player
from orchestrate.agents.scripted.script import STEPS, ScriptError, load_play

SESSION = "11111111-1111-4111-8111-111111111111"
STREAM = ("-p", "--input-format", "stream-json", "--output-format", "stream-json", "--verbose")
PROGRAM = (sys.executable, "-P", "-m", "orchestrate.agents.scripted")


def prompt_line(text: str) -> bytes:
    return json.dumps({"type": "user", "message": {"role": "user", "content": text}}).encode() + b"\n"


@dataclass(frozen=True)
class Played:
    exit_code: int
    events: list[dict[str, Any]]
    stderr: str

    @property
    def results(self) -> list[dict[str, Any]]:
        return [e for e in self.events if isinstance(e, dict) and e["type"] == "result"]


@dataclass(frozen=True)
class Theatre:
    directory: Path

    @property
    def script(self) -> str:
        return str(self.directory / "script.json")

    def write(self, features: Any) -> None:
        Path(self.script).write_text(features if isinstance(features, str) else json.dumps({"features": features}))

    def run(self, *args: str, stdin: bytes = b"", stream: bool = True) -> Played:
        argv = (*PROGRAM, *(STREAM if stream else ("-p",)), "--script", self.script, *args)
        done = subprocess.run(argv, input=stdin, capture_output=True, cwd=self.directory, timeout=30, check=False)
        events = [json.loads(line) for line in done.stdout.splitlines()] if stream else []
        return Played(done.returncode, events, done.stderr.decode())


@pytest.fixture
def theatre(tmp_path: Path) -> Theatre:
    return Theatre(tmp_path)


def test_it_works_and_says_so(theatre: Theatre) -> None:
    subprocess.run(["git", "init", "-q"], cwd=theatre.directory, check=True)
    play = [
        {"write": {"path": "src/@FEATURE@.py", "text": "x = 1\n"}},
        {"append": {"path": "src/auth.py", "text": "y = 2\n"}},
        {"edit": {"path": "src/auth.py", "find": "x = 1", "replace": "x = 3"}},
        {"run": "cat src/auth.py; exit 3"},
        {"write": {"path": "gone", "text": ""}},
        {"delete": "gone"},
        {"commit": "It's done"},
        {"say": "All there."},
    ]
    theatre.write({"auth": [play]})
    played = theatre.run("--feature", "auth", "--session-id", SESSION, stdin=prompt_line("go"))

    assert played.exit_code == 0, played.stderr
    assert (theatre.directory / "src/auth.py").read_text() == "x = 3\ny = 2\n"
    assert not (theatre.directory / "gone").exists()
    log = subprocess.run(["git", "log", "--format=%s %an"], cwd=theatre.directory, capture_output=True, check=True)
    assert log.stdout.decode() == "It's done Agent\n"
    outputs = [e["message"]["content"][0] for e in played.events if e["type"] == "user"]
    assert outputs[3] == {**outputs[3], "content": "Exit code 3\nx = 3\ny = 2\n", "is_error": True}
    [result] = played.results
    assert (result["result"], result["num_turns"], result["is_error"]) == ("All there.", 8, False)
    assert {e["session_id"] for e in played.events} == {SESSION}
    names = [e["message"]["content"][0].get("name") for e in played.events if e["type"] == "assistant"]
    assert names == ["Write", "Edit", "Edit", "Bash", "Write", "Bash", "Bash", None]


def test_plays_by_attempt_and_invocation(theatre: Theatre) -> None:
    theatre.write({"a": {"1": [["x"], ["y"]], "3": [["z"]]}, "*": [[{"say": "@FEATURE@ @ATTEMPT@ @INVOCATION@"}]]})
    with pytest.raises(ScriptError, match=r"features\['a'\]\['1'\]\[1\]\[0\]: unknown step 'y'"):
        load_play(theatre.script, "a", 2, 5)  # attempt 2 plays as attempt 1 does, and the last play repeats
    with pytest.raises(ScriptError, match="unknown step 'z'"):
        load_play(theatre.script, "a", 4, 1)
    assert load_play(theatre.script, "b", 2, 7) == [("say", {"text": "b 2 7"})]


def test_a_session_is_remembered(theatre: Theatre) -> None:
    theatre.write({"*": [[{"say": "one"}], [{"say": "two"}]]})
    said = [
        theatre.run(flag, SESSION, stdin=prompt_line("go")) for flag in ("--session-id", "--resume", "--session-id")
    ]
    assert [p.results[0]["result"] for p in said[:2]] == ["one", "two"]
    assert (said[2].exit_code, said[2].events) == (1, [])
    assert "already in use" in said[2].stderr


def test_an_unknown_session_is_refused(theatre: Theatre) -> None:
    theatre.write({"*": [[]]})
    played = theatre.run("--resume", SESSION, stdin=prompt_line("go"))
    assert played.exit_code == 1
    assert played.results[0]["subtype"] == "error_during_execution"
    assert SESSION in played.stderr


def test_where_sessions_are_remembered(theatre: Theatre, monkeypatch: pytest.MonkeyPatch) -> None:
    theatre.write({"*": [[]]})
    monkeypatch.setenv("ORCHESTRATE_SCRIPTED_STATE", str(theatre.directory / "elsewhere"))
    theatre.run("--session-id", SESSION, stdin=prompt_line("go"))
    assert sorted(os.listdir(theatre.directory)) == ["elsewhere", "script.json"]


def test_every_message_is_a_play(theatre: Theatre) -> None:
    theatre.write({"*": [[{"say": "one"}], [{"say": "two"}]]})
    played = theatre.run(stdin=prompt_line("go") + prompt_line("on"))
    assert [r["result"] for r in played.results] == ["one", "two"]


def test_no_message_is_no_work(theatre: Theatre) -> None:
    theatre.write({"*": [[]]})
    assert theatre.run(stdin=b"") == Played(0, [], "")


def test_without_stream_json_all_of_stdin_is_the_prompt(theatre: Theatre) -> None:
    theatre.write({"*": [[{"expect": "two\nlines"}]]})
    assert theatre.run(stdin=b"two\nlines", stream=False).exit_code == 0
    assert "prompt does not contain" in theatre.run(stdin=b"other", stream=False).stderr


def test_version() -> None:
    done = subprocess.run([*PROGRAM, "--version"], capture_output=True, check=True)
    assert b"scripted agent" in done.stdout


@pytest.mark.parametrize(
    ("features", "words"),
    [
        ("{", "not valid JSON"),
        ("[]", 'expected an object with "features"'),
        ('{"features": {}, "featres": 1}', "unknown key 'featres'"),
        ({"b": [[]]}, "no entry for 'a'"),
        ({"a": []}, "expected a list of plays"),
        ({"a": [{"say": "x"}]}, "expected a list of plays"),
        ({"a": {"2": [[]]}}, "no plays for attempt 1"),
        ({"a": [[{"sya": "x"}]]}, "unknown step 'sya'"),
        ({"a": [[{"say": "x", "run": "y"}]]}, "one key"),
        ({"a": [[{"say": 5}]]}, "say.text: expected str, got 5"),
        ({"a": [[{"wait": True}]]}, "wait.seconds: expected a number, got true"),
        ({"a": [[{"write": "x"}]]}, "write: expected an object with path"),
        ({"a": [[{"write": {"path": "x"}}]]}, "write: 'text' is missing"),
        ({"a": [[{"write": {"path": "x", "text": "", "txt": ""}}]]}, "unknown field 'txt'"),
        ({"a": [[{"fail": "??"}]]}, "unknown class '??'"),
        ({"a": [[{"edit": {"path": "no", "find": "a", "replace": "b"}}]]}, "edit no"),
        ({"a": [[{"signal": "NOPE"}]]}, "there is no 'NOPE'"),
    ],
)
def test_what_is_wrong_with_a_script_is_said(theatre: Theatre, features: Any, words: str) -> None:
    theatre.write(features)
    played = theatre.run("--feature", "a", stdin=prompt_line("go"))
    assert played.exit_code == 1
    assert words in played.stderr
    assert played.stderr.count("\n") == 1
    assert not played.results


@pytest.mark.parametrize("args", [("--nonsense",), ("--feature",)])
def test_what_is_wrong_with_the_call_is_said(theatre: Theatre, args: tuple[str, ...]) -> None:
    theatre.write({"*": [[]]})
    played = theatre.run(*args, stdin=prompt_line("go"))
    assert (played.exit_code, played.events) == (1, [])
    assert args[0] in played.stderr


@pytest.mark.parametrize(
    ("how", "code", "results"),
    [(signal.SIGINT, 0, 1), (signal.SIGTERM, 143, 0), ("interrupt", 1, 1), (signal.SIGKILL, -9, 0)],
)
def test_it_can_be_stopped_like_the_real_one(theatre: Theatre, how: Any, code: int, results: int) -> None:
    theatre.write({"*": [[{"run": "touch started; sleep 600"}]]})
    argv = (*PROGRAM, *STREAM, "--script", theatre.script)
    child = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=theatre.directory)
    assert child.stdin and child.stdout
    child.stdin.write(prompt_line("go"))
    child.stdin.flush()
    lines = [child.stdout.readline() for _ in range(2)]  # init and the tool: it is at work
    if how == "interrupt":
        request = {"type": "control_request", "request_id": "x", "request": {"subtype": "interrupt"}}
        child.stdin.write(json.dumps(request).encode() + b"\n")
        child.stdin.flush()
    else:
        child.send_signal(how)
    rest = child.stdout.read().splitlines()
    child.stdin.close()
    child.stdout.close()
    assert child.wait() == code
    types = [json.loads(line)["type"] for line in (*lines, *rest)]
    assert types.count("result") == results
    assert ("control_response" in types) == (how == "interrupt")


@pytest.mark.parametrize("step", STEPS)
def test_every_field_of_every_step_is_taken(step: str) -> None:
    fields = {f"{name}_" if name in TAKEN else name: None for name in STEPS[step][1]}
    inspect.signature(getattr(Player, f"_{step}")).bind(None, **fields)


def test_usage_counts_from_here_on(theatre: Theatre) -> None:
    usage = {"input": 7, "output": 5, "cache_read": 3, "cache_write": 2, "cost": 0.25}
    theatre.write({"*": [[{"usage": usage}, {"say": "one"}, {"say": "two"}]]})
    [result] = theatre.run(stdin=prompt_line("go")).results
    assert result["total_cost_usd"] == 0.5
    assert result["modelUsage"]["scripted"] == {
        "inputTokens": 14,
        "outputTokens": 10,
        "cacheReadInputTokens": 6,
        "cacheCreationInputTokens": 4,
        "costUSD": 0.5,
    }


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        ({"rate_limit": {"status": "allowed_warning", "utilization": 0.9, "resets_in": 60}}, "allowed_warning"),
        ({"tool": {"name": "Read", "input": {"file_path": "x"}, "output": "text", "error": True}}, "text"),
        ({"retry": {"seconds": 60, "status": 500, "wait": False}}, "60000"),
        ({"result": {"text": "mine", "fields": {"num_turns": 77}}}, "77"),
        ({"garbage": {"text": '"nonsense"', "times": 2}}, "nonsense"),
        ({"line": 12}, "x" * 12),
    ],
)
def test_steps_that_only_say_something(theatre: Theatre, step: Any, expected: str) -> None:
    theatre.write({"*": [[step]]})
    played = theatre.run(stdin=prompt_line("go"))
    assert (played.exit_code, played.stderr) == (0, "")
    assert expected in json.dumps(played.events)


def test_every_step_and_failure_is_documented() -> None:
    text = (Path(__file__).parents[2] / "docs" / "scripted-agent.md").read_text()
    missing = [name for name in (*STEPS, *FAILURES) if f"`{name}`" not in text]
    assert missing == []
