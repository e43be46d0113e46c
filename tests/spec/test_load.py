"""Loading a whole project: where files are found, how defaults apply, what the digests cover."""

from __future__ import annotations

import shutil
from hashlib import sha256
from pathlib import Path

import pytest

from orchestrate.core.plan import Command, Estimate
from orchestrate.errors import OrchestrateError
from orchestrate.spec.load import find_config, load_project
from tests.support.projects import FEATURE, Project

LIST = '{"features": [{"id": "a", "prompt": "x"}]}'


# ── finding ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("folder", ["config/", ""])
@pytest.mark.parametrize("suffix", ["json", "jsonc", "yaml", "yml", "toml"])
def test_a_list_is_found_by_its_usual_names(project: Project, folder: str, suffix: str) -> None:
    path = project.write(f"{folder}feature_list.{suffix}", "")
    assert find_config(project.root) == path


def test_a_list_is_found_from_below_but_not_beyond_the_repository(project: Project) -> None:
    path = project.write("config/feature_list.json", LIST)
    deep = project.root / "src" / "deep"
    deep.mkdir(parents=True)
    assert find_config(deep) == path
    assert find_config(project.root / "config") == path
    other = project.root.parent / "other"
    (other / ".git").mkdir(parents=True)
    (project.root.parent / "feature_list.json").write_text(LIST)
    with pytest.raises(OrchestrateError, match="no feature list") as refused:
        find_config(other)
    assert "orchestrate init" in refused.value.hint


def test_config_in_the_folder_comes_before_the_root(project: Project) -> None:
    project.write("feature_list.json", LIST)
    path = project.write("config/feature_list.yaml", "features: [{id: a, prompt: x}]")
    loaded = project.load()
    assert loaded.config_path == path
    assert loaded.notices == ("using config/feature_list.yaml; also there, not read: feature_list.json",)


def test_an_explicit_path_is_seen_from_where_the_command_stands(project: Project) -> None:
    path = project.write("plans/release.json", LIST)
    assert find_config(project.root, Path("plans/release.json")) == path
    assert find_config(project.root / "plans", Path("../plans/release.json")) == path
    with pytest.raises(OrchestrateError, match=r"no feature list at plans/nope.json"):
        find_config(project.root, Path("plans/nope.json"))
    with pytest.raises(OrchestrateError, match="plans is a directory"):
        find_config(project.root, Path("plans"))


def test_the_variable_names_a_list_and_the_flag_wins(project: Project) -> None:
    project.write("one.json", LIST)
    project.write("two.json", LIST)
    project.environ = {"ORCHESTRATE_CONFIG": "one.json"}
    assert project.load().config_path.name == "one.json"
    project.config = Path("two.json")
    assert project.load().config_path.name == "two.json"


# ── root ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_repo_path_is_seen_from_the_directory_that_holds_config(project: Project) -> None:
    tools = project.root / "tools"
    project.write("tools/config/feature_list.json", '{"project": {"repo_path": ".."}, ' + LIST[1:])
    loaded = project.load(start=tools)
    assert loaded.root == project.root
    assert loaded.notices == (f'repo_path ".." is {project.root} (seen from {tools})',)


@pytest.mark.parametrize("name", ["with space", "émoji 🎉", "100%", "new\nline"])
def test_a_repository_may_lie_under_any_name(project: Project, name: str) -> None:
    other = project.root.parent / name
    (other / ".git").mkdir(parents=True)
    project.write_list(project={"repo_path": str(other)})
    assert project.load().root == other


def test_a_symbolic_link_to_the_repository_is_followed(project: Project) -> None:
    (project.root.parent / "link").symlink_to(project.root)
    project.write_list(project={"repo_path": "../link"})
    assert project.load().root == project.root


def test_settings_and_prompts_of_the_repository_count_for_lists_elsewhere_in_it(project: Project) -> None:
    project.write("orchestrate.toml", "max_parallel = 8")
    project.write("prompts/a.md", "from the repository")
    project.config = project.write("plans/x.json", '{"features": [{"id": "a", "prompt_file": "a.md"}]}')
    loaded = project.load()
    assert loaded.settings.max_parallel == 8
    assert loaded.features[0].prompt == "from the repository"


def test_a_repo_path_in_the_repository_it_led_to_is_refused(project: Project) -> None:
    project.write("orchestrate.toml", '[project]\nrepo_path = "x"')
    project.write("tools/config/feature_list.json", '{"project": {"repo_path": ".."}, ' + LIST[1:])
    project.config = Path("tools/config/feature_list.json")
    assert project.problem().place == "orchestrate.toml:2:1"


# ── features ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_defaults_of_the_project_are_applied(project: Project) -> None:
    project.write_list(
        agent="claude",
        model="m1",
        timeout_seconds=60,
        max_attempts=4,
        max_reworks=0,
        limits={"feature_max_cost_usd": 2},
        env={"A": "1", "B": "1"},
        setup=["npm ci"],
        verify=["npm test"],
        features=[
            {"id": "plain", "prompt": "x"},
            {
                "id": "own",
                "name": "Own",
                "prompt": "y",
                "depends_on": ["plain", "plain"],
                "model": "m2",
                "timeout_seconds": 30.5,
                "max_attempts": 1,
                "max_reworks": 3,
                "max_cost_usd": 1,
                "env": {"B": "2"},
                "verify": [{"name": "lint", "run": "npm run lint", "timeout_seconds": 5, "when": "feature"}],
                "expects_changes": False,
                "priority": -1,
                "tags": ["a", "b"],
                "touches": ["src/**"],
                "creates": ["c"],
                "uses": ["u"],
                "description": "d",
            },
        ],
    )
    loaded = project.load()
    plain, own = loaded.features
    test = Command("npm test", "npm test")
    assert (plain.name, plain.model, plain.timeout_s, plain.max_attempts, plain.max_reworks) == (
        "plain",
        "m1",
        60,
        4,
        0,
    )
    assert (plain.max_cost_usd, plain.verify, plain.setup) == (2, (test,), (Command("npm ci", "npm ci"),))
    assert plain.env == (("A", "1"), ("B", "1"))
    assert (own.name, own.model, own.timeout_s, own.max_attempts, own.max_reworks) == ("Own", "m2", 30.5, 1, 3)
    assert (own.max_cost_usd, own.env) == (1, (("A", "1"), ("B", "2")))
    assert own.verify == (test, Command("lint", "npm run lint", 5, "feature"))
    assert (own.depends_on, own.expects_changes, own.priority) == (("plain",), False, -1)
    assert (own.tags, own.touches, own.creates, own.uses) == (("a", "b"), ("src/**",), ("c",), ("u",))
    assert loaded.notices == ('feature "own" names a dependency twice; once is enough',)


def test_without_a_prompt_the_description_is_one(project: Project) -> None:
    project.write_features({"id": "a", "description": "Build it."})
    assert project.load().features[0].prompt == "Build it."


@pytest.mark.parametrize(
    ("tokens", "estimate"),
    [
        (None, Estimate(40_000, 0.24, 40_000 / 150, "default")),
        (50_000, Estimate(50_000, 0.3, 50_000 / 150, "feature list")),
        (10, Estimate(10, 0.00006, 60.0, "feature list")),
    ],
)
def test_cost_and_time_are_derived_from_tokens(project: Project, tokens: int | None, estimate: Estimate) -> None:
    project.write_features({**FEATURE, "estimated_tokens": tokens})
    found = project.load().features[0].estimate
    assert (found.tokens, found.source) == (estimate.tokens, estimate.source)
    assert (found.cost_usd, found.duration_s) == pytest.approx((estimate.cost_usd, estimate.duration_s))


def test_prompt_files_may_begin_with_a_byte_order_mark(project: Project) -> None:
    project.write("prompts/a.md", b"\xef\xbb\xbfHello\r\n")
    project.write_features({"id": "a", "prompt_file": "./prompts//a.md"})
    feature = project.load().features[0]
    assert (feature.prompt, feature.prompt_file) == ("Hello\r\n", "./prompts//a.md")


def test_template_and_script_become_absolute(project: Project) -> None:
    template = project.write("prompts/mine.md", "{{ feature }}")
    script = project.write("tools/script.json", "{}")
    project.write_list(prompts={"template": "mine.md"}, scripted={"script": str(script)}, agent="scripted")
    settings = project.load().settings
    assert (settings.prompts.template, settings.scripted.script) == (str(template), str(script))


# ── digests ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def digests(project: Project) -> tuple[str, str]:
    loaded = project.load()
    return loaded.inputs_digest, loaded.settings_digest


def test_what_makes_the_plan_moves_its_digest(project: Project) -> None:
    project.write("prompts/_context.md", "one")
    project.write("prompts/a.md", "prompt")
    base = {"features": [{"id": "a", "prompt_file": "a.md"}], "prompts": {"context_file": "_context.md"}}
    project.write_list(**base)
    before = digests(project)
    assert project.load().prompt_digests == {"a": sha256(b"prompt").hexdigest()}
    assert digests(project) == before

    project.write("prompts/a.md", "prompt changed")
    changed = digests(project)
    assert changed[0] != before[0]
    assert changed[1] == before[1]

    project.write("prompts/a.md", "prompt")
    project.write("prompts/_context.md", "two")
    assert digests(project)[1] != before[1]


def test_the_digest_is_the_same_wherever_the_repository_lies(project: Project, tmp_path: Path) -> None:
    project.write_list(scripted={"script": "config/script.json"}, prompts={"template": "config/t.md"}, agent="scripted")
    project.write("config/script.json", "{}")
    project.write("config/t.md", "Do {{prompt}}.")
    before = digests(project)
    copy = Project(tmp_path / "elsewhere" / "copy", project.home)
    shutil.copytree(project.root, copy.root)
    assert digests(copy) == before
    copy.write("config/t.md", "Do {{prompt}} well.")
    assert digests(copy) != before


@pytest.mark.parametrize("keys", [{"max_parallel": 9}, {"ports": {"first": 5000}}, {"limits": {"max_cost_usd": 3}}])
def test_how_fast_and_how_dearly_does_not_move_the_digest(project: Project, keys: dict[str, object]) -> None:
    project.write_list()
    before = digests(project)
    project.write_list(**keys)
    assert digests(project) == before


# ── lists of an earlier system ───────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def earlier(tmp_path: Path) -> Path:
    """A repository with that system in a directory of its own, and its test project beside it."""
    home = tmp_path / "repository" / "orchestrator"
    shutil.copytree(Path(__file__).parent / "data" / "ror", home)
    (tmp_path / "repository" / ".git").mkdir()
    (tmp_path / "repository" / "test-project" / ".git").mkdir(parents=True)
    return home


def test_the_example_of_an_earlier_system_runs_unchanged(earlier: Path) -> None:
    loaded = load_project(
        start=earlier,
        config=Path("config/feature_list.example.json"),
        environ={"XDG_CONFIG_HOME": str(earlier / "none")},
        flags={},
    )
    assert loaded.root == earlier.parent
    assert loaded.project_name == "GS1-TraceabilityModule"
    assert loaded.context.startswith("# Contexte")
    assert len(loaded.rules) == 2
    assert loaded.settings.claude.allowed_tools[-1] == "Bash(bundle exec rspec)"
    auth, lookup = loaded.features
    assert auth.prompt.startswith("# GTIN")
    assert (auth.estimate.tokens, auth.priority, auth.tags) == (50_000, 1, ("core",))
    assert auth.creates == lookup.uses == ("GtinValidator class",)
    assert lookup.prompt.startswith("# Lookup")


def test_the_test_project_of_an_earlier_system_runs_unchanged(earlier: Path) -> None:
    loaded = load_project(
        start=earlier,
        config=Path("config/test-project.json"),
        environ={"XDG_CONFIG_HOME": str(earlier / "none")},
        flags={},
    )
    assert loaded.root == earlier.parent / "test-project"
    assert [feature.prompt.splitlines()[0] for feature in loaded.features] == [
        "# Task model",
        "# Task storage",
        "# CLI",
    ]
    assert loaded.settings.timeout_seconds == 600
