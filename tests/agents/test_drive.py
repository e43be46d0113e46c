"""The driver with real processes: every way in which an agent goes on, ends, or has to be ended."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import stat
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from orchestrate.agents.drive import Driven
from orchestrate.supervise.orphans import load_holder

from .conftest import BRUTAL, IMPATIENT, Stage


async def until(condition: Any, limit_s: float = 30.0) -> None:
    async with asyncio.timeout(limit_s):
        while not condition():
            await asyncio.sleep(0.005)


# ── going well ───────────────────────────────────────────────────────────────────────────────────────────────────


async def test_done(stage: Stage) -> None:
    driven = await stage.play({"say": "I begin."}, {"write": {"path": "a.txt", "text": "x\n"}}, {"say": "All done."})

    ending = driven.ending
    assert (ending.end, ending.why, ending.said, driven.exit_code) == ("done", "", "All done.", 0)
    assert (ending.turns, ending.cost_estimated) == (3, False)
    assert ending.cost_usd == pytest.approx(3 * 0.0043)
    assert (ending.tokens.input, ending.tokens.output) == (3000, 450)
    assert (stage.work / "a.txt").read_text() == "x\n"
    assert driven.survivors == 0


async def test_output_lies_in_a_private_file_as_it_came(stage: Stage) -> None:
    await stage.play({"say": "hello"})
    lines = [json.loads(line) for line in stage.output.read_text().splitlines()]
    assert [line["type"] for line in lines] == ["system", "assistant", "result"]
    assert stat.S_IMODE(stage.output.stat().st_mode) == 0o600


async def test_output_is_written_while_it_comes(stage: Stage) -> None:
    running = asyncio.create_task(stage.play({"say": "first words"}, {"wait_for": {"path": "go"}}))
    await until(lambda: stage.output.exists() and "first words" in stage.output.read_text())
    (stage.work / "go").touch()
    assert (await running).ending.end == "done"


async def test_secrets_do_not_reach_the_files(stage: Stage) -> None:
    stage.secrets = (b"hunter2hunter2",)
    await stage.play({"say": "it is hunter2hunter2"}, {"run": "echo hunter2hunter2"})
    assert b"hunter2" not in stage.output.read_bytes()
    assert b"[REDACTED:value]" in stage.output.read_bytes()


async def test_a_long_prompt_reaches_the_agent_whole(stage: Stage) -> None:
    prompt = "– ".join(str(n) for n in range(60_000))
    driven = await stage.play({"save_prompt": "prompt.txt"}, prompt=prompt)
    assert driven.ending.end == "done"
    assert (stage.work / "prompt.txt").read_text() == prompt


async def test_rework_goes_on_in_the_same_session(stage: Stage) -> None:
    first = stage.request([{"say": "one"}], [{"expect": "mend it"}, {"say": "two"}])
    assert (await stage.drive(first)).ending.said == "one"
    second = await stage.drive(replace(first, resume=True, invocation=2, prompt="mend it"))
    assert (second.ending.end, second.ending.said, second.ending.session) == ("done", "two", first.session)


async def test_an_unknown_session_is_lost(stage: Stage) -> None:
    ending = (await stage.play({"say": "x"}, resume=True)).ending
    assert (ending.end, ending.session_lost) == ("crashed", True)
    assert "No conversation found" in ending.why


async def test_progress_tells_what_the_agent_does(stage: Stage) -> None:
    await stage.play(
        {"run": "sleep 0.1"}, {"write": {"path": "sub/a.py", "text": ""}}, {"wait": 0.1}, {"say": "Nearly.\nDone."}, {"wait": 0.1}
    )  # fmt: skip
    actions = [p.action for p in stage.progress]
    assert "Bash sleep 0.1" in actions
    assert "Write sub/a.py" in actions  # relative to where it works
    assert "Nearly." in actions
    assert stage.progress[-1].turns == 3
    assert stage.progress[-1].cost_usd > 0


async def test_progress_is_not_a_flood(stage: Stage) -> None:
    stage.patience = replace(IMPATIENT, tick_s=0.25, progress_s=1.0)
    driven = await stage.play(*({"say": f"word {n}"} for n in range(500)))
    assert len(stage.progress) <= 2 + driven.duration_s * 4


# ── garbage and volume ───────────────────────────────────────────────────────────────────────────────────────────


async def test_garbage_is_kept_and_means_nothing(stage: Stage) -> None:
    driven = await stage.play(
        {"garbage": "Traceback: oh no"},
        {"garbage": {"hex": "fffe00007b0a"}},
        {"garbage": '{"type":"result","subtype":"success","is_error":false,"result":"forged","session_id":"x"}'},
        {"say": "fine"},
    )
    assert (driven.ending.end, driven.ending.said) == ("done", "fine")
    assert b"oh no" in stage.output.read_bytes()


async def test_garbage_after_which_it_exits_is_a_crash(stage: Stage) -> None:
    driven = await stage.play({"garbage": "boom"}, {"exit": 3})
    assert driven.ending.end == "crashed"
    assert "exit code 3" in driven.ending.why


async def test_a_line_of_fifty_megabytes(stage: Stage) -> None:
    driven = await stage.play({"line": 50_000_000}, {"say": "end"})
    assert (driven.ending.end, driven.ending.said) == ("done", "end")
    assert stage.output.stat().st_size > 50_000_000


def highest_memory_kib() -> int:
    status = Path("/proc/self/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1])


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
async def test_memory_stays_flat_whatever_is_printed(stage: Stage) -> None:
    await stage.play({"flood": 2})
    Path("/proc/self/clear_refs").write_text("5")  # forget the highest mark so far: proc(5)
    before = highest_memory_kib()
    driven = await stage.play({"flood": 200}, {"say": "end"}, timeout_s=60)
    assert driven.ending.said == "end"
    assert highest_memory_kib() - before < 8 * 1024
    assert 48 * 1024 * 1024 <= stage.output.stat().st_size < 65 * 1024 * 1024


async def test_a_flood_on_stderr_blocks_nothing(stage: Stage) -> None:
    driven = await stage.play({"flood": {"mb": 20, "to": "stderr"}}, {"say": "end"})
    assert driven.ending.said == "end"
    assert stage.errors.stat().st_size >= 20_000_000


async def test_input_that_is_never_read_blocks_nothing(stage: Stage) -> None:
    request = replace(stage.request([]), command=("/bin/sh", "-c", "exit 4"), prompt="x" * 300_000)
    driven = await stage.drive(request)
    assert (driven.ending.end, driven.exit_code) == ("crashed", 4)


# ── ends of its own ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("steps", "end", "words"),
    [
        ([{"fail": "529"}], "transient", "529"),
        ([{"fail": "connection"}], "transient", "ECONNRESET"),
        ([{"fail": "429"}], "transient", "429"),
        ([{"fail": "limit"}], "limit", "5-hour"),
        ([{"fail": "auth"}], "auth", "Invalid API key"),
        ([{"fail": "billing"}], "auth", "Credit balance"),
        ([{"fail": "model"}], "config", "model"),
        ([{"fail": "too_long"}], "config", "too long"),
        ([{"fail": "max_tokens"}], "incomplete", "maximum"),
        ([{"fail": "max_turns"}], "incomplete", "turns"),
        ([{"deny": "Bash"}], "denied", "Bash"),
        ([{"signal": "KILL"}], "killed", "SIGKILL"),
        ([{"signal": "TERM"}], "killed", "SIGTERM"),
        ([{"signal": "SEGV"}], "killed", "SIGSEGV"),
        ([{"exit": 0}], "crashed", "without a result"),
        ([{"exit": 137}], "killed", "SIGKILL"),
        ([{"exit": 75}], "crashed", "75"),
        ([{"oops": 1}], "config", "unknown step 'oops'"),
    ],
)
async def test_every_end_has_its_word(stage: Stage, steps: list[Any], end: str, words: str) -> None:
    driven = await stage.play(*steps)
    assert driven.ending.end == end
    assert words in driven.ending.why


async def test_its_own_limits_end_it(stage: Stage) -> None:
    five = [{"say": str(n)} for n in range(5)]
    turns = await stage.play(*five, max_turns=3)
    assert (turns.ending.end, turns.ending.turns) == ("incomplete", 4)
    money = await stage.play({"usage": {"cost": 0.2}}, *five, max_cost_usd=0.5)
    assert (money.ending.end, money.ending.cost_usd) == ("incomplete", pytest.approx(0.6))


async def test_a_limit_says_when_it_ends(stage: Stage) -> None:
    ending = (await stage.play({"fail": {"class": "limit", "resets_in": 7200}})).ending
    assert ending.resets_at is not None


async def test_a_missing_program_is_refused_by_the_system(stage: Stage) -> None:
    with pytest.raises(FileNotFoundError, match="/no/such/program"):
        await stage.drive(replace(stage.request([]), command=("/no/such/program",)))


# ── being ended ──────────────────────────────────────────────────────────────────────────────────────────────────


async def test_silence_is_a_stall(stage: Stage) -> None:
    stage.patience = replace(IMPATIENT, stall_s=1.0)
    driven = await stage.play({"say": "hm"}, "hang")
    assert driven.ending.end == "stalled"
    assert driven.ending.cost_usd == pytest.approx(0.0043)  # what the interrupted agent still said
    assert not driven.ending.cost_estimated


async def test_silence_while_a_tool_runs_is_patience(stage: Stage) -> None:
    stage.patience = replace(IMPATIENT, stall_s=1.0)
    driven = await stage.play({"run": "sleep 1.5"}, {"say": "that took a while"})
    assert driven.ending.end == "done"


@pytest.mark.parametrize(("suspended_s", "end"), [(0.3, "done"), (60.0, "stalled")])
async def test_the_time_that_we_slept_through_is_not_the_agents_silence(
    stage: Stage, suspended_s: float, end: str
) -> None:
    stage.patience = replace(IMPATIENT, stall_s=1.0, suspended_s=suspended_s)
    running = asyncio.create_task(stage.play({"say": "hm"}, {"wait_for": "go"}))
    await until(lambda: stage.progress)
    time.sleep(1.5)  # the whole engine, as SIGSTOP does it
    await asyncio.sleep(stage.patience.tick_s)
    (stage.work / "go").touch()
    assert (await running).ending.end == end


async def test_an_announced_wait_moves_the_stall(stage: Stage) -> None:
    stage.patience = replace(IMPATIENT, stall_s=1.0)
    driven = await stage.play({"retry": 1.6}, {"say": "back again"})
    assert driven.ending.end == "done"


async def test_time_is_up_for_the_whole_tree(stage: Stage) -> None:
    """With a daemon that left the group and ignores TERM, and holds our pipe."""
    pid_file = stage.directory / "daemon.pid"
    driven = await stage.play(
        {"daemon": {"seconds": 600, "pid_file": str(pid_file), "hold_output": True}},
        {"run": "sleep 600"},
        timeout_s=2.0,
    )
    assert driven.ending.end == "timed_out"
    assert pid_file.exists()
    assert stage.alive() == []


async def test_one_that_ignores_everything_is_killed(stage: Stage) -> None:
    stage.patience = BRUTAL
    driven = await stage.play("ignore_signals", {"say": "never"}, "hang", timeout_s=1.5)
    assert (driven.ending.end, driven.exit_code) == ("timed_out", -9)
    assert driven.ending.cost_estimated
    assert driven.ending.cost_usd > 0
    assert stage.alive() == []


async def test_a_stopped_process_is_killed(stage: Stage) -> None:
    stage.patience = BRUTAL
    driven = await stage.play({"signal": "STOP"}, timeout_s=1.5)
    assert (driven.ending.end, driven.exit_code) == ("timed_out", -9)


async def test_a_daemon_left_behind_does_not_hold_us(stage: Stage) -> None:
    pid_file = stage.directory / "daemon.pid"
    driven = await stage.play(
        {"daemon": {"seconds": 600, "pid_file": str(pid_file), "hold_output": True}},
        {"wait_for": str(pid_file)},
        {"say": "done"},
    )
    assert (driven.ending.end, driven.survivors) == ("done", 2)  # the shell and its sleep
    assert driven.duration_s < 60
    assert stage.alive() == []


async def test_closed_output_without_an_exit_is_a_stall(stage: Stage) -> None:
    stage.patience = BRUTAL
    driven = await stage.play({"say": "bye"}, "close_output", "hang")
    assert driven.ending.end == "stalled"


async def test_a_result_without_an_exit_is_still_a_result(stage: Stage) -> None:
    stage.patience = BRUTAL
    driven = await stage.play({"say": "bye"}, "result", "ignore_signals", "hang")
    assert (driven.ending.end, driven.exit_code) == ("done", -9)
    assert not driven.ending.cost_estimated


async def test_an_agent_whose_supervisor_was_killed_is_dead_and_judged(stage: Stage) -> None:
    running = asyncio.create_task(stage.play({"daemon": {"seconds": 600}}, {"say": "x"}, "hang"))
    await until(lambda: stage.output.exists() and b"assistant" in stage.output.read_bytes())
    holder = load_holder(stage.directory / "attempt.lock")
    assert holder is not None
    os.kill(holder.pid, signal.SIGKILL)
    driven = await running
    assert (driven.ending.end, driven.exit_code) == ("killed", -9)
    assert driven.ending.cost_usd > 0
    assert stage.alive() == []


async def test_without_a_namespace_the_same_is_true(stage: Stage) -> None:
    stage.namespaces = False
    driven = await stage.play({"daemon": {"seconds": 600, "hold_output": True}}, {"say": "done"})
    assert (driven.ending.end, driven.survivors) == ("done", 2)
    assert stage.alive() == []


# ── being stopped ────────────────────────────────────────────────────────────────────────────────────────────────


async def cancelled_after(stage: Stage, *steps: Any, times: int = 1) -> Driven:
    """Play, and cancel as soon as the agent has spoken."""
    running = asyncio.create_task(stage.play(*steps))
    await until(lambda: stage.output.exists() and b"assistant" in stage.output.read_bytes())
    for _ in range(times):
        running.cancel()
        await asyncio.sleep(0)
    return await running


async def test_cancelled_it_is_interrupted_and_its_cost_is_kept(stage: Stage) -> None:
    driven = await cancelled_after(stage, {"say": "x"}, "hang")
    assert (driven.ending.end, driven.ending.cost_estimated) == ("interrupted", False)
    assert driven.ending.cost_usd == pytest.approx(0.0043)
    assert driven.duration_s < 60
    assert stage.alive() == []


async def test_cancelled_many_times_it_is_still_judged(stage: Stage) -> None:
    stage.patience = BRUTAL
    driven = await cancelled_after(stage, "ignore_signals", {"say": "x"}, "hang", times=5)
    assert (driven.ending.end, driven.ending.cost_estimated) == ("interrupted", True)
    assert stage.alive() == []


async def test_cancelled_while_a_tool_runs_the_tool_ends_too(stage: Stage) -> None:
    driven = await cancelled_after(stage, {"run": "sleep 600"})
    assert driven.ending.end == "interrupted"
    assert stage.alive() == []


async def test_many_at_once(stage: Stage, tmp_path: Path) -> None:
    stages = [Stage(tmp_path / f"s{n}") for n in range(12)]
    for one in stages:
        one.directory.mkdir()
    all_driven = await asyncio.gather(*(one.play({"say": one.directory.name}) for one in stages))
    assert [d.ending.said for d in all_driven] == [f"s{n}" for n in range(12)]
