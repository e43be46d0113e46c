"""The real Claude Code when its engine is killed: what the service was asked tells whether anything was paid for twice.

Marked `real_agent`: .ci/run installs an old and a new version and names them in ORCHESTRATE_TEST_CLAUDE.
"""

from __future__ import annotations

import time
from pathlib import Path

import psutil
import pytest

from orchestrate.failpoint import VARIABLE
from tests.e2e import diamond
from tests.e2e.project import PATIENCE_S, RUN, Json, Project
from tests.support.agent_api import AgentApi, Answer, runs, writes
from tests.support.realclaude import ENVIRONMENT, MODEL, list_price, programs

pytestmark = [
    pytest.mark.real_agent,
    pytest.mark.timeout(300),  # a start alone takes a second of CPU, and tests run side by side
    pytest.mark.parametrize("claude", programs()),
]

WORK = Answer(text="I write it.", tools=(writes("base.py", diamond.FILES["base"]),))
DONE = Answer(text="It is done.")


@pytest.fixture
def with_claude(project: Project, claude: Path, agent_api: AgentApi) -> Project:
    """A plan of one feature whose agent asks the route `base`."""
    assert claude.is_file(), claude
    project.env |= ENVIRONMENT
    url = agent_api.play("base")
    features = diamond.features(base={"env": {"ANTHROPIC_BASE_URL": url}})[:1]
    project.arrange(features, model=MODEL, claude={"command": str(claude), "allowed_tools": ["Bash"]})
    return project


def until_nothing_lives(project: Project) -> None:
    """Fails after PATIENCE_S."""
    until = time.monotonic() + PATIENCE_S
    while left := project.processes():
        assert time.monotonic() < until, left
        time.sleep(0.02)


def goes_on(project: Project) -> Json:
    """Resume, which must succeed; the report's entry of the feature."""
    ended = project.orchestrate("resume", "--json")
    assert ended.code == 0, str(ended)
    (feature,) = project.report()["features"]
    assert [attempt["outcome"] for attempt in feature["attempts"]] == ["integrated"]
    found: Json = feature
    return found


def turns(api: AgentApi) -> list[list[str]]:
    """Of each request, what the model had said by then: ids of its tool calls, and its words."""
    return [
        [
            block.get("id") or block.get("text", "")
            for message in asked.body["messages"]
            if message["role"] == "assistant" and isinstance(message["content"], list)
            for block in message["content"]
        ]
        for asked in api.of("base")
    ]


def test_killed_in_the_middle_of_a_tool_it_goes_on_in_its_session_and_asks_nothing_again(
    with_claude: Project, agent_api: AgentApi
) -> None:
    project, started = with_claude, with_claude.home / "started"
    agent_api.play(
        "base",
        WORK,
        Answer(tools=(runs(f"python3 -c \"open('{started}', 'w').close(); import time; time.sleep(1000)\""),)),
        DONE,
    )

    with project.running(*RUN) as run:
        agent_api.wait_for("base", 2)
        until = time.monotonic() + PATIENCE_S
        while not started.exists():
            assert time.monotonic() < until
            time.sleep(0.02)
        run.child.kill()
        run.ended()
    until_nothing_lives(project)
    assert len(agent_api.of("base")) == 2  # nobody has asked on after the engine's death
    feature = goes_on(project)

    first, second, third = agent_api.of("base")
    assert first.session == second.session == third.session
    assert first.said.count("Write base.py.") == third.said.count("Write base.py.") == 1  # told once, remembered since
    had, knew, remembers = turns(agent_api)
    assert had == []
    assert remembers[: len(knew)] == knew  # every finished turn is history
    # What a tool had answered may not be on the agent's disk yet when it is killed: then it says that it was cut off.
    assert any("base.py" in result for result in second.tool_results)
    assert len(third.tool_results) >= len(second.tool_results)
    invocations = feature["attempts"][0]["invocations"]
    assert [i["end"] for i in invocations] == ["interrupted", "done"]
    assert_paid_once(feature, agent_api)


def test_killed_right_after_its_result_it_is_not_started_again(with_claude: Project, agent_api: AgentApi) -> None:
    agent_api.play("base", WORK, DONE)
    with_claude.env[VARIABLE] = "log.InvocationFinished.before"
    assert with_claude.orchestrate(*RUN).code == -9
    del with_claude.env[VARIABLE]
    until_nothing_lives(with_claude)
    feature = goes_on(with_claude)

    assert len(agent_api.of("base")) == 2
    assert [i["end"] for i in feature["attempts"][0]["invocations"]] == ["done"]
    assert feature["spent"]["cost_usd"] == pytest.approx(list_price(agent_api.usage("base")))
    assert feature["spent"]["estimated_usd"] == 0


def test_killed_before_the_agent_was_started(with_claude: Project, agent_api: AgentApi) -> None:
    agent_api.play("base", WORK, DONE)
    with_claude.env[VARIABLE] = "effect.RunAgent.begin"
    assert with_claude.orchestrate(*RUN).code == -9
    del with_claude.env[VARIABLE]
    feature = goes_on(with_claude)

    assert len(agent_api.of("base")) == 2
    assert_paid_once(feature, agent_api)


def test_killed_while_the_agent_starts_and_has_no_session_yet(
    with_claude: Project, claude: Path, agent_api: AgentApi
) -> None:
    agent_api.play("base", WORK, DONE)

    with with_claude.running(*RUN) as run:
        run.wait_for("InvocationStarted")
        engine, until = psutil.Process(run.child.pid), time.monotonic() + PATIENCE_S
        while not any("--session-id" in words_of(child) for child in engine.children(recursive=True)):
            assert time.monotonic() < until
        run.child.kill()
        run.ended()
    until_nothing_lives(with_claude)
    assert agent_api.of("base") == []
    feature = goes_on(with_claude)

    assert len(agent_api.of("base")) == 2
    assert_paid_once(feature, agent_api)


def words_of(process: psutil.Process) -> list[str]:
    """Its command line; empty for one that has just ended."""
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def assert_paid_once(feature: Json, api: AgentApi) -> None:
    """What the report says was read is what the service counted: no turn is counted twice, and none is missing."""
    usage, tokens = api.usage("base"), feature["spent"]["tokens"]
    theirs = [usage[kind] for kind in ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")]
    assert [tokens[kind] for kind in ("input", "cache_read", "cache_write")] == theirs
