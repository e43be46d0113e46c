"""`python -m orchestrate.agents.scripted`: the command line of Claude Code, as far as it is used headless."""

# pathlib would double the time that this program takes to start.
# ruff: noqa: PTH100, PTH103, PTH104, PTH110, PTH118, PTH119, PTH120
from __future__ import annotations

import os
import sys
from typing import Any

from orchestrate import __version__

from .listening import Ears, Ended
from .player import Player
from .script import ScriptError, load_play
from .speech import Speech

WITH_VALUE = frozenset(
    [
        "--session-id",
        "--resume",
        "--input-format",
        "--output-format",
        "--model",
        "--fallback-model",
        "--max-turns",
        "--max-budget-usd",
        "--permission-mode",
        "--settings",
        "--setting-sources",
        "--tools",
        "--append-system-prompt",
        "--mcp-config",
        "--script",
        "--feature",
        "--attempt",
        "--invocation",
    ]
)
WITH_VALUES = frozenset({"--allowedTools", "--allowed-tools", "--disallowedTools", "--disallowed-tools"})
ALONE = frozenset(
    {"-p", "--print", "--verbose", "--strict-mcp-config", "--include-partial-messages", "--version", "-v"}
)


def main(argv: list[str]) -> int:
    """Exit code. Everything that is wrong with the call or the script is one line on stderr."""
    try:
        options = parse_options(argv)
        if "--version" in options or "-v" in options:
            print(f"{__version__} (orchestrate scripted agent)")
            return 0
        return run(options)
    except (ScriptError, ValueError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    except Ended as ended:
        return 143 if ended.how == "SIGTERM" else 0
    except BrokenPipeError:
        return 141


def run(options: dict[str, str]) -> int:
    if "--script" not in options:
        raise ValueError("--script FILE is missing (`scripted.script` in the settings)")
    session = options.get("--resume") or options.get("--session-id") or f"{os.getpid():08x}-0000-4000-8000-000000000000"
    speech = Speech(session, options.get("--model", "scripted"), options.get("--permission-mode", "default"))
    state = os.path.join(state_dir(options["--script"]), session)
    if "--resume" in options and not os.path.exists(state):
        words = f"No conversation found with session ID: {session}"
        print(words, file=sys.stderr)
        speech.result(subtype="error_during_execution", is_error=True, num_turns=0, errors=[words])
        return 1
    if "--resume" not in options and os.path.exists(state):
        raise ValueError(f"Session ID {session} is already in use.")
    played = remembered(state)
    feature, attempt = options.get("--feature", "*"), int(options.get("--attempt", "1"))
    first = int(options.get("--invocation", played + 1))
    play = load_play(options["--script"], feature, attempt, first)

    def answer(request: dict[str, Any]) -> None:
        body: dict[str, Any] = {
            "subtype": "success",
            "request_id": request.get("request_id"),
            "response": {"still_queued": []},
        }
        speech.emit({"type": "control_response", "response": body})

    ears = Ears(answer)
    code, number = 0, first
    prompts = read_prompts(ears, options)
    for prompt in prompts:
        if number > first:
            play = load_play(options["--script"], feature, attempt, number)
        remember(state, played + number - first + 1)
        speech.init(f"scripted-{__version__}")
        cost_limit = float(options.get("--max-budget-usd", "0"))
        player = Player(speech, ears, prompt, int(options.get("--max-turns", "0")), cost_limit)
        code = player.play(play)
        if player.is_last:
            break
        number += 1
    return code


def read_prompts(ears: Ears, options: dict[str, str]) -> Any:
    """Each message of stream-json is a prompt; without that format, all of stdin is one."""
    if options.get("--input-format") == "stream-json":
        while (message := ears.next_message()) is not None:
            yield message
        return
    text = sys.stdin.buffer.read().decode("utf-8", "replace")
    ears.at_end = True
    if not text.strip():
        raise ValueError("Input must be provided through stdin when using --print")
    yield text


def parse_options(argv: list[str]) -> dict[str, str]:
    """Flag → value; empty for one without. Raises ValueError for what Claude Code would refuse."""
    options: dict[str, str] = {}
    rest = list(argv)
    while rest:
        flag, equals, value = rest.pop(0).partition("=")
        if flag in ALONE:
            options[flag] = ""
        elif flag in WITH_VALUE:
            if not equals and not rest:
                raise ValueError(f"option '{flag}' argument missing")
            options[flag] = value if equals else rest.pop(0)
        elif flag in WITH_VALUES:
            while rest and not rest[0].startswith("--"):
                rest.pop(0)
        else:
            raise ValueError(f"unknown option '{flag}'")
    if options.get("--output-format") == "stream-json" and "--verbose" not in options:
        raise ValueError("When using --print, --output-format=stream-json requires --verbose")
    return options


def state_dir(script: str) -> str:
    """Where sessions are remembered."""
    beside = os.path.join(os.path.dirname(os.path.abspath(script)), f".{os.path.basename(script)}.sessions")
    return os.environ.get("ORCHESTRATE_SCRIPTED_STATE") or beside


def remembered(state: str) -> int:
    """Plays of this session so far."""
    try:
        with open(state) as f:
            return int(f.read() or 0)
    except FileNotFoundError:
        return 0


def remember(state: str, played: int) -> None:
    os.makedirs(os.path.dirname(state), exist_ok=True)
    with open(f"{state}.new", "w") as f:
        f.write(str(played))
    os.rename(f"{state}.new", state)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
