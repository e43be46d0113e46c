"""What performers are told of the past: the fold of a log."""

from __future__ import annotations

from orchestrate.app.memory import RunMemory
from orchestrate.core import events as ev
from orchestrate.core.effects import RunAgent
from orchestrate.core.names import AttemptKey
from orchestrate.core.plan import Command, Feature, build_plan

RUN = "20260102-030405-beef"
PLAN = build_plan(
    [
        Feature("api", "The API", "Build it.", creates=("Api class",)),
        Feature(
            "web",
            "The web",
            "Show it.",
            depends_on=("api",),
            verify=(Command("unit", "pytest -q"),),
            uses=("Api class",),
        ),
    ]
)
WEB = AttemptKey(RUN, "web", 1)


def build_memory() -> RunMemory:
    return RunMemory(RUN, PLAN, project="Shop", context="Be brief.", rules=("No globals.",), ports=2)


def invocation(key: AttemptKey, *, phase: ev.Phase = "edit", feedback: str = "") -> RunAgent:
    return RunAgent(f"{key}.2", key, 1, phase, "session", False, 60.0, None, feedback)


def test_a_brief_holds_the_feature_and_what_its_dependencies_said() -> None:
    memory = build_memory()
    memory.listen(ev.InvocationFinished(1.0, "api", 1, 1, "done", said="I made Api in api.py."))
    memory.listen(ev.WorktreePrepared(2.0, "web", 1, "c0ffee", "b", "/wt", 41_000))
    brief = memory.brief_of(invocation(WEB))
    assert (brief.id, brief.prompt, brief.project, brief.context, brief.rules) == (
        "web", "Show it.", "Shop", "Be brief.", ("No globals.",),
    )  # fmt: skip
    (needed,) = brief.dependencies
    assert (needed.id, needed.creates, needed.summary) == ("api", ("Api class",), "I made Api in api.py.")
    assert [(c.name, c.command) for c in brief.checks] == [("unit", "pytest -q")]
    assert brief.ports == (41_000, 41_001)


def test_a_rework_is_told_what_failed() -> None:
    brief = build_memory().brief_of(invocation(WEB, phase="rework", feedback="unit failed"))
    assert (brief.phase, brief.feedback) == ("rework", "unit failed")


def test_another_attempt_is_told_why_the_last_one_failed_but_not_that_it_was_interrupted() -> None:
    memory = build_memory()
    memory.listen(ev.AttemptEnded(1.0, "web", 1, 5, "failed", "checks failed: unit", retry=True))
    memory.listen(ev.AttemptEnded(2.0, "web", 2, 2, "interrupted", "engine stopped", retry=True))
    assert memory.brief_of(invocation(AttemptKey(RUN, "web", 3))).earlier_failure == "checks failed: unit"


def test_bases_and_ports_of_attempts_under_way_are_known() -> None:
    memory = build_memory()
    assert memory.base_of(WEB) == ""
    memory.listen(ev.WorktreePrepared(1.0, "web", 1, "c0ffee", "b", "/wt", 41_000))
    assert memory.base_of(WEB) == "c0ffee"
    assert memory.ports_held == {WEB: 41_000}
    memory.listen(ev.AttemptEnded(2.0, "web", 1, 5, "failed"))
    assert memory.ports_held == {}
    assert memory.base_of(WEB) == "c0ffee"
