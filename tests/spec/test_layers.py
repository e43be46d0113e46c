"""Layers: later wins, every value knows its origin, mistakes are laid at the right door."""

from __future__ import annotations

import pytest

from orchestrate.errors import OrchestrateError
from orchestrate.spec.layers import setting_paths
from tests.support.projects import Project


def test_later_layers_win_and_every_value_knows_its_origin(project: Project) -> None:
    user = project.write_user_settings('max_parallel = 2\nmodel = "user"\nmax_attempts = 5\nagent = "claude"')
    project.write_list(project={"max_parallel": 4, "model": "list"}, schedule="waves", max_reworks=7)
    project.write("orchestrate.toml", 'max_parallel = 5\n\n[project]\nstart_on = "integrated"\n')
    project.environ = {"ORCHESTRATE_MAX_PARALLEL": "6", "ORCHESTRATE_MAX_REWORKS": "8"}
    project.flags = {"max_parallel": 7, "model": None}
    settings, origins = project.settings()
    assert (settings.max_parallel, settings.model, settings.max_attempts) == (7, "list", 5)
    assert (settings.start_on, settings.schedule, settings.max_reworks) == ("integrated", "waves", 8)
    assert origins["max_parallel"] == "--max-parallel"
    assert origins["model"] == "config/feature_list.json:10"
    assert origins["max_attempts"] == f"{user}:3"
    assert origins["start_on"] == "orchestrate.toml:4"
    assert origins["schedule"] == "config/feature_list.json:12"
    assert origins["max_reworks"] == "environment ORCHESTRATE_MAX_REWORKS"
    assert origins["timeout_seconds"] == "default"


def test_a_list_that_was_named_must_exist_even_for_the_settings_alone(project: Project) -> None:
    project.config = project.root / "nope.json"
    with pytest.raises(OrchestrateError, match="no feature list at"):
        project.settings()


def test_tables_are_merged_key_by_key_and_lists_are_replaced(project: Project) -> None:
    project.write_user_settings('verify = ["user"]\n[limits]\nmax_turns = 5\n[env]\nA = "user"\nB = "user"\n')
    project.write_list(verify=["list"], limits={"max_cost_usd": 3}, env={"B": "list", "C": "list"})
    project.environ = {"ORCHESTRATE_ENV__C": "environment", "ORCHESTRATE_LIMITS__STALL_SECONDS": "9.5"}
    settings, origins = project.settings()
    assert [command.run for command in settings.verify] == ["list"]
    assert (settings.limits.max_turns, settings.limits.max_cost_usd, settings.limits.stall_seconds) == (5, 3, 9.5)
    assert dict(settings.env) == {"A": "user", "B": "list", "C": "environment"}
    assert origins["env.C"] == "environment ORCHESTRATE_ENV__C"


def test_without_a_feature_list_there_are_still_settings(project: Project) -> None:
    project.write("orchestrate.toml", "max_parallel = 9")
    settings, origins = project.settings()
    assert settings.max_parallel == 9
    assert origins["max_parallel"] == "orchestrate.toml:1"
    assert {".".join(map(str, path)) for path in setting_paths()} == set(origins)


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("ORCHESTRATE_TIMEOUT_SECONDS", "12.5", "settings.timeout_seconds == 12.5"),
        ("ORCHESTRATE_VERIFY", '["a", {"run": "b"}]', "[c.run for c in settings.verify] == ['a', 'b']"),
        ("ORCHESTRATE_CLAUDE__ALLOWED_TOOLS", '["Read"]', "settings.claude.allowed_tools == ('Read',)"),
        ("ORCHESTRATE_CLAUDE__COMMAND", "/opt/claude", "settings.claude.command == '/opt/claude'"),
        ("ORCHESTRATE_COPY", "[]", "settings.copy == ()"),
        ("ORCHESTRATE_ENV__lower", "x", "settings.env == (('lower', 'x'),)"),
        ("ORCHESTRATE_MAX_PARALLEL", "", "settings.max_parallel == 3"),
    ],
)
def test_variables_are_read_by_the_kind_of_their_setting(project: Project, name: str, text: str, value: str) -> None:
    project.write_list()
    project.environ = {name: text}
    assert eval(value, {"settings": project.load().settings})


@pytest.mark.parametrize(
    ("name", "text", "message", "hint"),
    [
        ("ORCHESTRATE_MAX_PARALEL", "3", "no setting has this name", 'did you mean "ORCHESTRATE_MAX_PARALLEL"?'),
        ("ORCHESTRATE_LIMITS", "3", "no setting has this name", "config show"),
        ("ORCHESTRATE_LIMITS__X", "3", "no setting has this name", ""),
        ("ORCHESTRATE__", "3", "no setting has this name", "config show"),
        ("ORCHESTRATE_MAX_PARALLEL", "three", 'expected a whole number, got "three"', ""),
        ("ORCHESTRATE_MAX_PARALLEL", "3.0", "expected a whole number", ""),
        ("ORCHESTRATE_MAX_PARALLEL", "0", "must be at least 1, not 0", ""),
        ("ORCHESTRATE_TIMEOUT_SECONDS", "soon", "expected a number", ""),
        ("ORCHESTRATE_TIMEOUT_SECONDS", "nan", "must be a finite number", ""),
        ("ORCHESTRATE_VERIFY", "pytest", "expected a list as JSON", ""),
        ("ORCHESTRATE_VERIFY", "[" * 100_000, "expected a list as JSON", ""),
        ("ORCHESTRATE_VERIFY", "[3]", "expected text or a mapping", ""),
        ("ORCHESTRATE_SCHEDULE", "wave", "expected one of ready, waves", 'did you mean "waves"?'),
        ("ORCHESTRATE_MODEL", "a\udcff", "half a character", ""),
        ("ORCHESTRATE_ENV__GIT_DIR", "x", "set by the program itself", ""),
    ],
)
def test_a_variable_that_cannot_be(project: Project, name: str, text: str, message: str, hint: str) -> None:
    project.write_list()
    project.environ = {name: text}
    problem = project.problem()
    assert problem.place == f"environment {name}"
    assert message in problem.message
    assert problem.hint
    assert hint in problem.hint


@pytest.mark.parametrize("name", ["RUN", "FEATURE", "DEBUG", "PORT", "TEST_CLAUDE"])
def test_variables_of_the_program_itself_are_no_settings(project: Project, name: str) -> None:
    project.write_list()
    project.environ = {f"ORCHESTRATE_{name}": "x"}
    assert project.problems() == ()


def test_a_flag_that_cannot_be_is_named(project: Project) -> None:
    project.write_list()
    project.flags = {"limits.max_cost_usd": -1.0}
    problem = project.problem()
    assert (problem.place, problem.message) == ("--max-cost-usd", "must be at least 0.01, not -1.0")


def test_a_flag_for_no_setting_is_a_defect(project: Project) -> None:
    project.write_list()
    project.flags = {"max_paralel": 1}
    with pytest.raises(KeyError):
        project.load()


def test_a_mistake_is_told_where_it_was_made_even_if_a_later_layer_hides_it(project: Project) -> None:
    project.write_list(max_parallel=0)
    project.flags = {"max_parallel": 2}
    assert project.problem().place == "config/feature_list.json:8:18"


def test_the_users_own_file_describes_no_project(project: Project) -> None:
    path = project.write_user_settings('[project]\nrepo_path = "/"')
    project.write_list()
    problem = project.problem()
    assert problem.source == str(path)
    assert 'unknown key "project"' in problem.message


def test_of_a_file_with_mistakes_the_rest_still_counts(project: Project) -> None:
    project.write_list(max_parallel=0, base_branch="auth", features=[{"id": "auth", "prompt": "x"}])
    assert [problem.message for problem in project.problems()] == [
        'the id "auth" is also the base branch',
        "must be at least 1, not 0",
    ]
