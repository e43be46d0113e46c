"""The real Claude Code, at work in a whole run; only the service that it asks is ours.

Marked `real_agent`: .ci/run installs an old and a new version and names them in ORCHESTRATE_TEST_CLAUDE.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e import diamond
from tests.e2e.project import RUN, Json, Project
from tests.support.agent_api import AgentApi, Answer, runs, writes
from tests.support.realclaude import ENVIRONMENT, MODEL, list_price, programs

pytestmark = [
    pytest.mark.real_agent,
    pytest.mark.timeout(300),  # a start alone takes a second of CPU, and tests run side by side
    pytest.mark.parametrize("claude", programs()),
]

DONE = Answer(text="It is done.")


@pytest.fixture
def with_claude(project: Project, claude: Path) -> Project:
    assert claude.is_file(), claude
    project.env |= ENVIRONMENT
    return project


def does(name: str) -> Answer:
    """The model has the feature's file written."""
    return Answer(text=f"I write {name}.py.", tools=(writes(f"{name}.py", diamond.FILES[name]),))


def assert_costs_are_right(project: Project, agent_api: AgentApi, name: str) -> None:
    """What the report says of the feature is what the API counted, as the agents reported it."""
    features = project.report()["features"]
    spent = next(feature["spent"] for feature in features if feature["id"] == name)
    usage = agent_api.usage(name)
    assert spent["cost_usd"] == pytest.approx(list_price(usage))
    assert spent["estimated_usd"] == 0
    ours = ("input", "output", "cache_read", "cache_write")
    theirs = ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
    assert [spent["tokens"][kind] for kind in ours] == [usage[kind] for kind in theirs]


def test_a_diamond_with_a_check_that_is_mended_in_the_same_session(
    with_claude: Project, claude: Path, agent_api: AgentApi
) -> None:
    project = with_claude
    commits = Answer(tools=(runs("git add -A && git commit -q -m 'By my own hand'"),))
    blabs = Answer(text=f"It is done, and by the way, I saw {ENVIRONMENT['ANTHROPIC_API_KEY']}.")
    wrong = Answer(tools=(writes("right.py", "RIGHT = 0\n"),), usage={"output_tokens": 7000})
    routes = {
        "base": agent_api.play("base", does("base"), DONE),
        "left": agent_api.play("left", does("left"), commits, blabs),
        "right": agent_api.play("right", wrong, DONE, does("right"), Answer(text="Now it is right.")),
        "top": agent_api.play("top", does("top"), DONE),
    }
    features = diamond.features(**{name: {"env": {"ANTHROPIC_BASE_URL": url}} for name, url in routes.items()})
    project.arrange(features, model=MODEL, claude={"command": str(claude)})
    plan = project.orchestrate("plan", "--json").document
    assert plan["waves"] == [["base"], ["left", "right"], ["top"]]

    ended = project.orchestrate(*RUN)

    assert ended.code == 0, str(ended)
    branch = ended.integration_branch
    with project.checked_out(branch) as directory:
        for code in diamond.CHECKS.values():
            project.python(code, directory)
    assert "By my own hand" in project.log_of(branch)

    # The check's output came back to the session that had done the work, together with all that it knew.
    sessions = {name: {asked.session for asked in agent_api.of(name)} for name in routes}
    assert all(len(of_feature) == 1 for of_feature in sessions.values()), sessions
    assert len(set.union(*sessions.values())) == 4
    first, _, rework, _ = agent_api.of("right")
    assert "Write right.py." in first.said
    assert "AssertionError" not in first.said
    assert "right is right" in rework.said
    assert "AssertionError" in rework.said
    assert len(rework.tool_results) == 1

    for name in routes:
        assert_costs_are_right(project, agent_api, name)

    # The key that one of them let out is written nowhere.
    assert "by the way, I saw [REDACTED" in project.orchestrate("logs", "left").stdout
    assert ENVIRONMENT["ANTHROPIC_API_KEY"] not in ended.stdout
    kept = [file for file in (project.root / ".git").rglob("*") if file.is_file()]
    assert not [file for file in kept if ENVIRONMENT["ANTHROPIC_API_KEY"].encode() in file.read_bytes()]


def test_an_agent_that_hangs_one_that_may_not_write_and_one_whose_service_fails(
    with_claude: Project, claude: Path, agent_api: AgentApi
) -> None:
    project = with_claude
    daemon = runs(f"setsid nohup sleep 1000 > /dev/null 2>&1 & echo $! > {project.home}/daemon.pid; echo started")
    hangs = agent_api.play("hangs", Answer(tools=(daemon,)), Answer(hang="before"))
    denied = agent_api.play("denied", does("base"), Answer(text="I was not allowed to."))
    overloaded = Answer(status=529, error=("overloaded_error", "Overloaded"))
    fails = agent_api.play("fails", *[overloaded] * 4, Answer(tools=(runs("echo 1 > done.txt"),)), DONE)
    features: list[Json] = [
        {"id": "hangs", "prompt": "p", "timeout_seconds": 6, "env": {"ANTHROPIC_BASE_URL": hangs}},
        {"id": "denied", "prompt": "p", "env": {"ANTHROPIC_BASE_URL": denied}},
        {"id": "after", "prompt": "p", "depends_on": ["denied"]},
        {"id": "fails", "prompt": "p", "env": {"ANTHROPIC_BASE_URL": fails}},
    ]
    settings = {"command": str(claude), "permission_mode": "default", "allowed_tools": ["Bash"]}
    project.arrange(features, model=MODEL, claude=settings, max_attempts=1, max_parallel=3)

    with project.running(*RUN) as run:
        agent_api.wait_for("hangs", 2)
        assert project.lives(project.home / "daemon.pid")
        ended = run.ended()

    assert ended.code == 1, str(ended)
    slow, refused = (ended.of("InvocationFinished", feature=name) for name in ("hangs", "denied"))
    assert [e["end"] for e in slow] == ["timed_out"]
    assert [(e["end"], e["denials"]) for e in refused] == [("denied", ["Write"])]
    ends = {e["feature"]: (e["outcome"], e["why"]) for e in ended.of("AttemptEnded")}
    assert ends["denied"] == ("failed", "permission denied: Write")
    assert ends["hangs"][0] == "failed"
    assert [e["feature"] for e in ended.of("FeatureSkipped")] == ["after"]
    assert [e["end"] for e in ended.of("InvocationFinished", feature="fails")] == ["transient", "done"]
    assert ends["fails"][0] == "integrated"
    assert len({asked.session for asked in agent_api.of("fails")}) == 1
    assert not project.lives(project.home / "daemon.pid")


def test_an_agent_that_was_interrupted_goes_on_in_its_session(
    with_claude: Project, claude: Path, agent_api: AgentApi
) -> None:
    project = with_claude
    url = agent_api.play("base", does("base"), Answer(hang="before"), Answer(text="Where was I? It is done."))
    features = diamond.features(base={"env": {"ANTHROPIC_BASE_URL": url}})[:1]
    project.arrange(features, model=MODEL, claude={"command": str(claude)})

    with project.running(*RUN) as run:
        agent_api.wait_for("base", 2)
        run.press_ctrl_c()
        run.wait_for("StopRequested", how="drain")
        run.press_ctrl_c()
        ended = run.ended()

    assert ended.code == 130, str(ended)
    assert [e["end"] for e in ended.of("InvocationFinished")] == ["interrupted"]
    assert_costs_are_right(project, agent_api, "base")
    rest = project.orchestrate("run", "--resume", "--yes", "--json")
    assert rest.code == 0, str(rest)
    first, _, last = agent_api.of("base")
    assert first.session == last.session
    assert any("base.py" in result for result in last.tool_results)
    assert_costs_are_right(project, agent_api, "base")
