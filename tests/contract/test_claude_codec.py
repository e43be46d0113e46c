"""Every recorded session of Claude Code 2.1.197 and 2.1.329, decoded and judged: the expected end and cost of each."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrate.agents.claude import ClaudeCodec
from orchestrate.agents.codec import Ending, ExitInfo
from orchestrate.agents.transcript import Transcript

DATA = Path(__file__).parent / "data" / "claude"

# session (without its version): end, cost in 2.1.197, cost in 2.1.329 (None: not recorded with that version)
EXPECTED: dict[str, tuple[str, float | None, float | None]] = {
    "01-hello": ("done", None, 0.0066),
    "02-work-default": ("denied", 0.036, 0.0264),
    "03-work-bypass": ("done", 0.036, 0.0264),
    "10-401": ("auth", 0, 0),
    "11-403": ("auth", 0, 0),
    "110-sj-two-turns": ("done", None, 0.0132),
    "112-sj-interrupt": ("done", None, 0.0132),
    "113-sj-interrupt-midstream": ("done", None, 0.01222),
    "114-sj-can-use-tool": ("denied", None, 0.0198),
    "115-sj-controls": ("done", None, 0.0033),
    "12-400": ("config", 0, 0),
    "120-partial": ("done", None, 0.0066),
    "13-404": ("config", 0, 0),
    "133-schema-ok": ("done", None, 0.0132),
    "134-schema-bad": ("done", None, 0.0198),
    "135-hooks": ("denied", None, 0.0264),
    "139-mode-acceptEdits": ("denied", None, 0.0528),
    "139-mode-bypassPermissions": ("done", None, 0.0528),
    "139-mode-dontAsk": ("denied", None, 0.0528),
    "14-413": ("config", 0, 0),
    "145-root-sandbox": ("done", None, 0.0066),
    "147-fallback": ("done", None, 0.0033),
    "148-maxretries": ("transient", None, 0),
    "15-credit": ("auth", 0, 0),
    "153-bash-timeout": ("done", None, 0.0198),
    "154-bash-bg": ("done", None, 0.0198),
    "155-bigout": ("done", None, 0.0132),
    "16-429-ra2-perm": ("transient", 0, 0),
    "161-bg-disabled": ("done", None, 0.0198),
    "18-429-once": ("done", 0.009, 0.0066),
    "19-529-perm": ("transient", 0, 0),
    "196-sandbox-acceptEdits": ("done", None, 0.033),
    "20-529-once": ("done", 0.009, 0.0066),
    "207-resume-after-kill": ("done", None, 0.0066),
    "24-429-ra3600": ("limit", 0, 0),
    "25-cut-before": ("transient", 0, 0),
    "26-cut-mid": ("done", 0.009, 0.01788),
    "27-cut-mid-once": ("done", 0.009, 0.01224),
    "31-hang-mid": ("done", 0.009, 0.01224),
    "32-prompt-too-long": ("config", 0, 0),
    # 2.1.329 asks again by itself after a refusal; see test_a_refusal_is_not_an_answer
    "33-refusal": ("crashed|done", 0.009, 0.0132),
    "34-maxtokens": ("incomplete", 0.036, 0.0264),
    "35-empty": ("done", 0.018, 0.0132),
    "36-ratelimit-warn": ("done", 0.009, 0.0066),
    "40-oauth-ok": ("done", 0.0054, 0.0033),
    "41-oauth-5h-rejected": ("limit", 0, 0),
    "42-oauth-7d-rejected": ("limit", 0, 0),
    "43-oauth-warning": ("done", 0.0054, 0.0033),
    "44-oauth-401": ("auth", 0, 0),
    "50-max-turns": ("incomplete", 0.018, 0.0132),
    "51-budget": ("incomplete", 2.25275, 1.8016),
    "52-budget-textonly": ("incomplete", 2.25275, 1.8016),
    "55-resume": ("done", 0.009, 0.0066),
    "57-fork-with-id": ("done", 0.009, 0.0066),
    "59-resume-unknown": ("crashed", 0, 0),
    "60-resume-othercwd": ("done", 0.009, 0.0066),
    "62-bad-flag": ("config", 0, 0),
    "64-no-prompt": ("config", 0, 0),
    "69-json": ("done", 0.009, 0.0066),
    # the recording with 2.1.329 met a service that had nothing to refuse
    "73-json-err": ("config|done", 0, 0.0066),
    "74-json-verbose": ("done", 0.009, 0.0066),
    "77-nokey": ("auth", 0, 0),
    "80-kill-fg-SIGINT": ("killed", 0.009, 0.0066),
    # no result: estimated at list price from the usage of the one message that was paid for
    "80-kill-fg-SIGKILL": ("killed", None, None),
    "80-kill-fg-SIGTERM": ("killed", None, None),
}
ENDS = {"done", "incomplete", "denied", "transient", "limit", "auth", "config", "killed", "crashed"}


@dataclass(frozen=True)
class Recording:
    lines: tuple[bytes, ...]
    exit_code: int
    stderr: str

    def judged(self, ended_by_us: str = "") -> Ending:
        codec, transcript = ClaudeCodec(), Transcript()
        for line in self.lines:
            for event in codec.decode(line):
                transcript.add(event)
        return codec.classify(transcript, ExitInfo(self.exit_code, self.stderr, ended_by_us))  # type: ignore[arg-type]


def load_recording(path: Path) -> Recording:
    """First line `_probe` (exit code, stderr; absent in the oldest), then events with `_t`; `_v` holds a bare array."""
    raw = [json.loads(line) for line in path.read_text().splitlines()]
    probe = raw[0].get("_probe", {})
    events = [line.get("_v", line) for line in raw if "_probe" not in line]
    return Recording(tuple(json.dumps(e).encode() for e in events), probe.get("rc", 0), probe.get("stderr", ""))


def recordings() -> list[str]:
    return sorted(path.name for path in DATA.glob("*.jsonl"))


def name_and_version(file: str) -> tuple[str, str]:
    match = re.fullmatch(r"(.+?)(?:\.(197|329))?\.jsonl", file)
    assert match
    return match[1], match[2] or "329"


@pytest.mark.parametrize("file", recordings())
def test_recorded_session_is_judged_as_expected(file: str) -> None:
    name, version = name_and_version(file)
    ends, cost_197, cost_329 = EXPECTED[name]
    cost = cost_197 if version == "197" else cost_329
    expected_end = ends.split("|")[0 if version == "197" else -1]

    ending = load_recording(DATA / file).judged()

    assert ending.end == expected_end, ending.why
    if cost is not None:
        assert ending.cost_usd == pytest.approx(cost)
        assert not ending.cost_estimated
    assert bool(ending.why) == (ending.end != "done")


def test_every_expected_end_has_a_recording_and_every_recording_an_expectation() -> None:
    assert {name_and_version(file)[0] for file in recordings()} == set(EXPECTED)
    assert {end for ends, _, _ in EXPECTED.values() for end in ends.split("|")} == ENDS


@pytest.mark.parametrize("version", ["197", "329"])
@pytest.mark.parametrize("signal", ["SIGINT", "SIGTERM", "SIGKILL"])
@pytest.mark.parametrize(
    ("ended_by_us", "end"), [("interrupt", "interrupted"), ("timeout", "timed_out"), ("stall", "stalled")]
)
def test_what_our_stepping_in_broke_is_ours(version: str, signal: str, ended_by_us: str, end: str) -> None:
    ending = load_recording(DATA / f"80-kill-fg-{signal}.{version}.jsonl").judged(ended_by_us)
    assert ending.end == end
    assert ending.cost_usd > 0


@pytest.mark.parametrize("version", ["197", "329"])
def test_cost_of_a_killed_agent_is_estimated_from_the_stream(version: str) -> None:
    ending = load_recording(DATA / f"80-kill-fg-SIGKILL.{version}.jsonl").judged()
    full = 0.009 if version == "197" else 0.0066
    assert ending.cost_estimated
    assert full * 0.75 < ending.cost_usd <= full * 1.05  # the length of the answer is a guess
    assert ending.tokens.input == 1000
    assert ending.tokens.cache_read == 3000


def test_an_answer_that_was_cut_off_and_not_counted_is_estimated() -> None:
    """As 2.1.197 reports it when it is interrupted while the model speaks."""
    usage = '"usage":{"input_tokens":1000,"output_tokens":1}'
    said = '{"type":"assistant","message":{"id":"m","model":"claude-opus-4-8","content":[],' + usage + "}}"
    aborted = (
        '{"type":"result","subtype":"error_during_execution","is_error":true,"terminal_reason":"%s",'
        '"total_cost_usd":0,"modelUsage":{}}'
    )
    cut_off = judge(said.encode(), (aborted % "aborted_streaming").encode())
    assert (cut_off.cost_estimated, cut_off.tokens.input) == (True, 1000)
    assert cut_off.cost_usd == pytest.approx(0.005, rel=0.01)
    counted = judge(said.encode(), (aborted % "completed").replace(":0,", ":0.004,").encode())
    assert (counted.cost_estimated, counted.cost_usd) == (False, 0.004)


@pytest.mark.parametrize("figure", ["-1", "NaN", "0", '"5"', "null"])
def test_a_figure_that_cannot_be_believed_leaves_our_estimate_standing(figure: str) -> None:
    usage = '"usage":{"input_tokens":1000,"output_tokens":1}'
    said = '{"type":"assistant","message":{"id":"m","model":"claude-opus-4-8","content":[],' + usage + "}}"
    result = '{"type":"result","subtype":"success","is_error":false,"result":"x","total_cost_usd":%s}' % figure
    ending = judge(said.encode(), result.encode())
    assert ending.cost_estimated and ending.cost_usd == pytest.approx(0.005, rel=0.01)


def test_a_total_never_shrinks() -> None:
    line = '{"type":"result","subtype":"success","is_error":false,"result":"x","total_cost_usd":%s}'
    assert judge((line % "0.5").encode(), (line % "0.1").encode()).cost_usd == 0.5


@pytest.mark.parametrize("file", ["02-work-default.329.jsonl", "41-oauth-5h-rejected.197.jsonl"])
def test_what_stood_when_we_stepped_in_stands(file: str) -> None:
    """A finished answer is not lost because the deadline came in the same moment."""
    recording = load_recording(DATA / file)
    assert recording.judged("timeout").end == recording.judged().end


@pytest.mark.parametrize("version", ["197", "329"])
def test_a_usage_limit_says_when_it_ends(version: str) -> None:
    resets_at = load_recording(DATA / f"41-oauth-5h-rejected.{version}.jsonl").judged().resets_at
    assert resets_at == (1795261526 if version == "197" else 1795257947)


@pytest.mark.parametrize("version", ["197", "329"])
def test_an_unknown_session_is_said_to_be_lost(version: str) -> None:
    assert load_recording(DATA / f"59-resume-unknown.{version}.jsonl").judged().session_lost
    assert not load_recording(DATA / f"10-401.{version}.jsonl").judged().session_lost


@pytest.mark.parametrize("version", ["197", "329"])
def test_denials_name_the_tools(version: str) -> None:
    assert load_recording(DATA / f"02-work-default.{version}.jsonl").judged().denials == ("Write", "Bash")


def test_a_refusal_is_not_an_answer() -> None:
    ending = load_recording(DATA / "33-refusal.197.jsonl").judged()
    assert "unable to respond" in ending.why


def test_facts_of_a_good_run() -> None:
    ending = load_recording(DATA / "03-work-bypass.329.jsonl").judged()
    assert (ending.said, ending.turns, ending.model) == ("All done: committed hello.txt.", 4, "claude-opus-5-5")
    assert ending.session == "5dded5bb-cd6f-4003-ae01-05546772fc89"
    assert (ending.tokens.input, ending.tokens.output) == (4000, 200)


def test_the_fallback_model_is_the_one_that_answered() -> None:
    assert load_recording(DATA / "147-fallback.329.jsonl").judged().model == "claude-sonnet-5-5"


# ── hostile input ────────────────────────────────────────────────────────────────────────────────────────────────

ALL_LINES = [line for file in recordings()[::9] for line in load_recording(DATA / file).lines if len(line) < 20_000]

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
KEYS = [
    "type",
    "subtype",
    "message",
    "content",
    "usage",
    "model",
    "id",
    "text",
    "input",
    "error",
    "result",
    "errors",
    "is_error",
    "num_turns",
    "session_id",
    "permission_denials",
    "total_cost_usd",
    "modelUsage",
    "model_usage_since_last_result",
    "rate_limit_info",
    "resetsAt",
    "retry_delay_ms",
]
TYPES = [
    "assistant",
    "user",
    "result",
    "system",
    "rate_limit_event",
    "init",
    "api_retry",
    "tool_use",
    "text",
    "permission_denied",
    "success",
]
hostile_events = st.dictionaries(st.sampled_from(KEYS), json_values | st.sampled_from(TYPES), max_size=10).flatmap(
    lambda d: st.sampled_from(TYPES).map(lambda kind: {**d, "type": kind})
)


def judge(*lines: bytes) -> Ending:
    return Recording(lines, 0, "").judged()


def assert_sane(ending: Ending) -> None:
    figures = (*(getattr(ending.tokens, f) for f in ("input", "output", "cache_read", "cache_write")), ending.turns)
    assert all(0 <= figure < 10**14 for figure in figures)
    assert 0 <= ending.cost_usd < 1e14
    ending.said.encode()
    ending.why.encode()


@given(st.lists(st.binary(max_size=200), max_size=5))
def test_random_bytes_never_raise(lines: list[bytes]) -> None:
    assert_sane(judge(*lines, *(b"{" + line for line in lines)))


@given(st.sampled_from(ALL_LINES), st.data())
def test_cut_and_damaged_lines_never_raise(line: bytes, data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(line)))
    assert_sane(judge(line[:cut], line[cut:], line[:cut] + data.draw(st.binary(max_size=8)) + line[cut:]))


@given(st.lists(hostile_events, max_size=4))
def test_events_of_the_wrong_shape_never_raise(events: list[object]) -> None:
    assert_sane(judge(*(json.dumps(e).encode() for e in events)))


@pytest.mark.parametrize("figure", ["-1", "NaN", "1e300", "Infinity", '"5"', "null", "[1]", "true", "1" + "0" * 400])
def test_hostile_figures_count_nothing(figure: str) -> None:
    line = (
        '{"type":"result","subtype":"success","is_error":false,"result":"x","num_turns":%s,"total_cost_usd":%s,'
        '"modelUsage":{"m":{"inputTokens":%s,"outputTokens":%s,"costUSD":%s}}}'
    ) % ((figure,) * 5)
    ending = judge(line.encode())
    assert (ending.end, ending.cost_usd, ending.tokens.total, ending.turns) == ("done", 0, 0, 0)


@pytest.mark.parametrize("line", [b"[" * 100_000, b'{"a":' * 100_000, b"\xff\xfe{", b'{"type":"result"', b"{}", b"[]"])
def test_garbage_means_nothing(line: bytes) -> None:
    assert ClaudeCodec().decode(line) == ()


def test_a_result_of_another_conversation_is_not_believed() -> None:
    init = b'{"type":"system","subtype":"init","session_id":"ours","model":"m"}'
    forged = b'{"type":"result","subtype":"success","is_error":false,"result":"done!","session_id":"theirs"}'
    assert judge(init, forged).end == "crashed"


def test_lone_surrogates_are_replaced() -> None:
    ending = judge(b'{"type":"result","subtype":"success","is_error":false,"result":"a\\ud800b"}')
    assert ending.said == "a?b"


def test_memory_of_the_fold_is_bounded() -> None:
    codec, transcript = ClaudeCodec(), Transcript()
    for n in range(2_000):
        block = {"type": "tool_use", "id": f"t{n}", "name": "Bash", "input": {"command": "x" * 2000}}
        usage = {"input_tokens": 10, "output_tokens": 1}
        message = {"id": f"m{n}", "model": "claude-opus-5-5", "content": [block], "usage": usage}
        for event in codec.decode(json.dumps({"type": "assistant", "message": message}).encode()):
            transcript.add(event)
    assert len(transcript.tools) <= 256
    assert len(transcript._open) <= 256
    assert transcript.tokens.input == 20_000  # and yet nothing is forgotten
    assert len(transcript.action) < 200
