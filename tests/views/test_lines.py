"""Every event a person waits for makes one line; a chatty agent does not flood them."""

from __future__ import annotations

import pytest

from orchestrate.agents import salvage
from orchestrate.core import events as ev
from orchestrate.core.plan import Feature, build_plan
from orchestrate.views.lines import QUIET_S, SILENT, Line, Narrator, tell_all

PLAN = build_plan([Feature("api", "The API", agent="claude", model="opus", max_attempts=3), Feature("ui", "UI")])
BAD_CHECK = ev.CheckResult("tests", "pytest", ok=False, exit_code=1, tail="E  assert 1 == 2\n2 failed, 10 passed\n\n")
STARTED = ev.AttemptStarted(100.0, "api", 1, 1, ("a" * 40,))


def told(*events: ev.Event) -> Line:
    """The line of the last event."""
    narrator = Narrator(PLAN)
    lines = [narrator.tell(event) for event in events]
    last = lines[-1]
    assert last is not None
    return last


CASES: list[tuple[ev.Event, str, str]] = [
    (
        ev.RunStarted(1.0, "20261121-111415-7f3a", "shop", "b" * 40, "main", "orch/x/integration", "{}"),
        "run 20261121-111415-7f3a: 2 features in 1 wave from main bbbbbbbbbb",
        "integrates into orch/x/integration",
    ),
    (
        ev.StopRequested(1.0, "drain"),
        "stopping: nothing new starts, running features finish",
        "again: ends the agents now",
    ),
    (ev.StopRequested(1.0, "cancel"), "ending the agents now", "their work is kept"),
    (
        ev.StopRequested(1.0, "drain", "anna@laptop", 3),
        "anna@laptop stops the run; running features finish",
        "orchestrate stop --now ends the agents",
    ),
    (
        ev.StopRequested(1.0, "cancel", "anna@laptop", 3),
        "anna@laptop stops the run now; running agents are ended",
        "their work is kept",
    ),
    (
        ev.PauseRequested(1.0, "anna@laptop", 1),
        "anna@laptop paused the run; running agents finish",
        "orchestrate resume goes on",
    ),
    (
        ev.PauseRequested(1.0, "", 1, now=True),
        "somebody paused the run; running agents are ended, their work is kept",
        "orchestrate resume goes on",
    ),
    (
        ev.PauseRequested(1.0, "engine", cause="disk", now=True, why="0.1 GB are free"),
        "the disk is nearly full: 0.1 GB are free",
        "running agents are ended, their work is kept; goes on by itself when there is room",
    ),
    (
        ev.PauseRequested(1.0, "engine", cause="machine", why="12 file descriptors are left"),
        "the machine has no room: 12 file descriptors are left",
        "nothing new starts; goes on by itself when there is room",
    ),
    (ev.ResumeRequested(1.0, "bob@desk", 2), "bob@desk resumed the run", ""),
    (ev.ResumeRequested(1.0, "engine", cause="disk"), "there is room on the disk again; the run goes on", ""),
    (ev.ResumeRequested(1.0, "engine", cause="machine"), "the machine has room again; the run goes on", ""),
    (ev.CancelRequested(1.0, "anna@laptop", 1, ("api",)), "anna@laptop cancelled api", "its work is kept"),
    (
        ev.CancelRequested(1.0, "anna@laptop", 1),
        "anna@laptop cancelled everything that has not ended",
        "their work is kept",
    ),
    (ev.RetryRequested(1.0, "anna@laptop", 1, ("api", "ui")), "anna@laptop asked for another try at api, ui", ""),
    (
        ev.RetryRequested(1.0, "anna@laptop", 1),
        "anna@laptop asked for another try at everything that was not integrated",
        "",
    ),
    (
        ev.AnswerGiven(1.0, "anna@laptop", 1, "api", "use sqlite\nand no more"),
        "anna@laptop answered: use sqlite",
        "the agent gets it with its next invocation",
    ),
    (ev.FeatureCancelled(1.0, "ui", "cancelled by anna@laptop"), "cancelled by anna@laptop", ""),
    (ev.FeatureReopened(1.0, "ui"), "is to be tried again", ""),
    (
        ev.EffectLost(1.0, "api", 1, "r.api.1.2", "no space left on device", blameless=True),
        "no room for its next step: no space left on device",
        "begins again then",
    ),
    (
        ev.InvocationFinished(1.0, "api", 1, 1, "killed", oom=True),
        "the system ran out of memory and ended the agent",
        "from now on one agent fewer at once",
    ),
    (ev.RunEnded(1.0, "done"), "run done: everything is integrated", ""),
    (ev.RunEnded(1.0, "incomplete", "1 failed"), "run ended without everything integrated: 1 failed", ""),
    (ev.Warned(1.0, "", "disk is filling up"), "disk is filling up", ""),
    (ev.FeatureSkipped(1.0, "ui", "api failed"), "skipped: api failed", ""),
    (STARTED, "starts, try 1/3", ""),
    (
        ev.InvocationStarted(1.0, "api", 1, 2, 1, "edit", "s", False, 1800.0),
        "claude opus at work",
        "at most 30:00",
    ),
    (
        ev.InvocationStarted(1.0, "api", 1, 2, 2, "rework", "s", True, 60.0, feedback="pytest:\n2 failed\n"),
        "back to the agent: 2 failed",
        "same session",
    ),
    (ev.InvocationStarted(1.0, "api", 1, 2, 2, "proceed", "s", True, 60.0), "agent goes on where it was cut off", ""),
    (
        ev.InvocationFinished(
            1.0, "api", 1, 1, "done", cost_usd=0.82, tokens=ev.Tokens(80_000, 7_000), duration_s=171.0
        ),
        "agent says it is done (2:51, 87k tokens, $0.82)",
        "",
    ),
    (
        ev.InvocationFinished(1.0, "api", 1, 1, "crashed", why="exit 3", cost_usd=0.1, cost_estimated=True),
        "agent ended without an answer (~$0.10): exit 3",
        "",
    ),
    (
        ev.InvocationFinished(1.0, "api", 1, 1, "limit", resets_at=3601.0),
        "the account's usage limit is reached",
        "resets in ~1 h",
    ),
    (
        ev.InvocationFinished(1.0, "api", 1, 1, "denied", denials=("Bash", "Write")),
        "agent was not allowed: Bash, Write",
        "",
    ),
    (
        ev.InvocationFinished(1.0, "api", 1, 1, "auth"),
        "the agent is not signed in, or not paid for",
        "orchestrate doctor",
    ),
    (ev.WorktreeFailed(1.0, "api", 1, "setup", "npm ci: exit 1"), "setup failed: npm ci: exit 1", ""),
    (ev.WorktreeFailed(1.0, "api", 1, "git", "disk full"), "no worktree could be made: disk full", ""),
    (
        ev.WorktreeFailed(1.0, "api", 1, "conflict", "a.py"),
        "its dependencies do not merge with one another: a.py",
        "",
    ),
    (ev.WorkSealed(1.0, "api", 1, "h", "t", error="index.lock"), "its work could not be committed: index.lock", ""),
    (
        ev.WorkSealed(1.0, "api", 1, "h", "t", out_of_scope=("a", "b", "c", "d", "e")),
        "changed files outside its scope: a, b, c and 2 more",
        "",
    ),
    (
        ev.ChecksFinished(1.0, "api", 1, True, (ev.CheckResult("t", "t", ok=True),), duration_s=12.0),
        "1 check passed (0:12)",
        "",
    ),
    (
        ev.ChecksFinished(1.0, "api", 1, False, (BAD_CHECK,)),
        "check tests failed (exit 1): 2 failed, 10 passed",
        "orchestrate logs api --checks",
    ),
    (
        ev.ChecksFinished(1.0, "api", 1, False, error="no shell"),
        "checks could not be run: no shell",
        "orchestrate logs api --checks",
    ),
    (
        ev.MergeChecksFinished(1.0, "api", 1, False, (ev.CheckResult("t", "t", ok=False, timed_out=True),)),
        "on the merged tree, check t failed (timed out)",
        "orchestrate logs api --checks",
    ),
    (
        ev.MergeFinished(1.0, "api", 1, "conflict", paths=("a.py", "b.py")),
        "cannot be merged: conflicts in a.py and b.py",
        "merge it by hand, or let it depend on the other (depends_on)",
    ),
    (ev.MergeFinished(1.0, "api", 1, "error", why="git died"), "could not be merged: git died", ""),
    (ev.Published(1.0, "api", 1, False), "the integration branch has moved", "merges again"),
    (ev.AttemptVerified(1.0, "api", 1, 5, "c" * 40, "t"), "verified at cccccccccc", "waits to be integrated"),
    (ev.AttemptStopping(1.0, "api", 1, 5, "cancelled", "by you"), "is being ended: by you", "its work is kept"),
    (
        ev.AttemptParked(1.0, "api", 1, 5, "stopped while working"),
        "stopped while working",
        "orchestrate resume goes on with it",
    ),
    (ev.AttemptParked(1.0, "api", 1, 5, "limit"), "stands still: limit", "orchestrate resume goes on with it"),
    (
        ev.EffectLost(1.0, "api", 1, "r.api.1.2", "worker died"),
        "a step was lost: worker died",
        "is begun again, a few times at most",
    ),
    (ev.AttemptEnded(1.0, "api", 1, 9, "failed", "checks"), "failed: checks", "orchestrate logs api"),
    (ev.AttemptEnded(1.0, "api", 1, 9, "failed", "checks", True), "failed: checks", "tries again"),
    (ev.AttemptEnded(1.0, "api", 1, 9, "failed", "529", True, 41.0), "failed: 529", "tries again in ~40 s"),
    (ev.AttemptEnded(1.0, "api", 1, 9, "no_changes"), "no changes", "orchestrate logs api"),
    (
        ev.AttemptEnded(1.0, "api", 1, 9, "postponed", retry=True),
        "postponed",
        "starts again when its dependencies are integrated",
    ),
]


@pytest.mark.parametrize(("event", "text", "follows"), CASES, ids=[f"{type(c[0]).__name__}-{c[1][:20]}" for c in CASES])
def test_one_event_makes_one_line(event: ev.Event, text: str, follows: str) -> None:
    line = told(event)
    assert (line.text, line.next) == (text, follows)
    assert line.feature == getattr(event, "feature", "")


BASES = {ev.Event, ev.Control, ev.AttemptEvent, ev.DecidedAttemptEvent}


def test_every_kind_is_told_or_silent_on_purpose() -> None:
    vocabulary = {kind for kind in vars(ev).values() if isinstance(kind, type) and issubclass(kind, ev.Event)} - BASES
    told_elsewhere = {ev.EngineStarted, ev.InvocationProgressed}
    assert {type(event) for event, _, _ in CASES} | told_elsewhere | SILENT == vocabulary


def test_only_a_second_engine_is_news() -> None:
    assert tell_all(PLAN, [ev.EngineStarted(1.0, 7)]) == []
    ended = ev.RunEnded(2.0, "interrupted")
    assert told(ev.EngineStarted(1.0, 7), ended, ev.EngineStarted(9.0, 8)).text == "engine started again (pid 8)"


def test_the_death_of_an_engine_is_told_by_the_next_one() -> None:
    begun = ev.InvocationStarted(100.0, "api", 1, 2, 1, "edit", "s", False, 1800.0)
    salvaged = ev.InvocationFinished(161.0, "api", 1, 1, "interrupted", "the engine was stopped", duration_s=5.0)
    lines = tell_all(PLAN, [ev.EngineStarted(1.0, 7), begun, salvaged, ev.EngineStarted(160.0, 8)])
    assert [line.text for line in lines[1:]] == [
        "agent ended as its engine was gone (0:05)",
        "engine started again (pid 8); the one before (pid 7) had died, and for 1:00 there was none",
    ]
    assert salvaged.why == salvage.ENGINE_GONE


def test_a_warning_is_told_whole() -> None:
    words = "its worktree was gone; made again at /" + "a-long-way/" * 20 + " with what its private ref holds"
    assert told(ev.Warned(1.0, "api", words)).text == words


def test_progress_speaks_at_most_twice_a_minute_per_feature() -> None:
    working = ev.InvocationStarted(0.0, "api", 1, 2, 1, "edit", "s", False, 1800.0)
    chatter = [
        ev.InvocationProgressed(float(at), "api", 1, 1, f"Edit a{at}.py", at, ev.Tokens(1000 * at)) for at in range(91)
    ]
    lines = tell_all(PLAN, [working, *chatter])[1:]
    assert [line.at for line in lines] == [QUIET_S, 2 * QUIET_S, 3 * QUIET_S]
    assert lines[0].text == "… Edit a30.py (30 turns, 30k tokens)"


def test_integrated_says_what_it_took() -> None:
    line = told(
        STARTED,
        ev.InvocationFinished(150.0, "api", 1, 1, "done", cost_usd=0.30),
        ev.InvocationFinished(160.0, "api", 1, 2, "done", cost_usd=0.18),
        ev.WorkSealed(161.0, "api", 1, "h", "t", changed=3, insertions=84, deletions=3),
        ev.AttemptEnded(197.0, "api", 1, 9, "integrated"),
    )
    assert line.text == "integrated (1:37, $0.48, 3 files +84 -3)"
    assert line.tone == "good"


def test_an_interrupted_attempt_uses_up_no_try() -> None:
    line = told(
        STARTED,
        ev.AttemptEnded(110.0, "api", 1, 3, "interrupted", retry=True),
        ev.AttemptStarted(120.0, "api", 2, 1),
    )
    assert line.text == "starts, try 1/3"


def test_time_without_an_engine_does_not_count() -> None:
    engine = ev.EngineStarted(0.0, 7)
    seen = ev.WorktreePrepared(110.0, "api", 1, "b", "branch", "/w")
    line = told(engine, STARTED, seen, ev.EngineStarted(5110.0, 8), ev.AttemptEnded(5120.0, "api", 1, 9, "integrated"))
    assert line.text == "integrated (0:20, $0.00)"


def failing(number: int, why: str = "API Error: 529 Overloaded") -> tuple[ev.Event, ev.Event]:
    begun = ev.InvocationStarted(100.0, "api", 1, number, number, "proceed", "s", True, 60.0)
    return begun, ev.InvocationFinished(101.0, "api", 1, number, "transient", why)


def test_a_failing_service_is_said_with_the_time_of_the_next_try() -> None:
    line = told(STARTED, *failing(1), *failing(2))
    assert (line.text, line.next) == ("service failing (529): API Error: 529 Overloaded", "again in 4 s")
    done = (
        ev.InvocationStarted(102.0, "api", 1, 3, 3, "proceed", "s", True, 60.0),
        ev.InvocationFinished(103.0, "api", 1, 3, "incomplete"),
    )
    assert told(STARTED, *failing(1), *done, *failing(4)).next == "again in 2 s"
    lost = (failing(2)[0], ev.EngineStarted(104.0, 8))
    assert told(ev.EngineStarted(1.0, 7), STARTED, *failing(1), *lost, *failing(3)).next == "again in 2 s"
    assert told(STARTED, *failing(1), failing(2)[0], ev.EffectLost(104.0, "api", 1, "e", ""), *failing(3)).next == (
        "again in 2 s"
    )
    assert told(STARTED, *(event for number in range(1, 8) for event in failing(number))).next == ""


def test_an_end_is_told_as_what_led_to_it() -> None:
    why = "npm ci (exit code 1)\nnpm ERR! code E404\nnpm ERR! not found"
    setup = (STARTED, ev.WorktreeFailed(101.0, "api", 1, "setup", why))
    assert told(*setup).text == "setup failed: npm ci (exit code 1): npm ERR! not found"
    ended = told(*setup, ev.AttemptEnded(101.0, "api", 1, 2, "failed", why))
    assert ended.text == "failed (0:01, $0.00): setup failed: npm ci (exit code 1): npm ERR! not found"
    clash = (STARTED, ev.MergeFinished(101.0, "api", 1, "conflict", paths=("a.py",), why="CONFLICT (content): a.py"))
    ended = told(*clash, ev.AttemptEnded(101.0, "api", 1, 2, "conflicted", "CONFLICT (content): a.py"))
    assert ended.text == "conflicted (0:01, $0.00): conflicts in a.py"


def test_tries_are_counted_anew_after_a_feature_is_opened_again() -> None:
    lost = ev.AttemptEnded(101.0, "api", 1, 2, "failed", "so")
    again = ev.AttemptStarted(103.0, "api", 2, 1, ("a" * 40,))
    assert told(STARTED, lost, ev.FeatureReopened(102.0, "api"), again).text == "starts, try 1/3"
