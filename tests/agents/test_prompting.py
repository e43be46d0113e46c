"""Brief → prompt: what is told, in which order, and that nobody's text is taken for a template."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import jinja2
import pytest
from jinja2 import meta

from orchestrate.core.brief import Brief, BriefCheck, Needed
from orchestrate.errors import OrchestrateError
from orchestrate.prompting import FIELDS, LIMIT, default_templates, render_prompt

FULL = Brief(
    id="auth",
    name="Sign-in",
    prompt="Build the sign-in page.",
    project="Shop",
    description="People sign in.",
    context="A shop in Python.",
    rules=("No new dependencies.", "Type hints."),
    creates=("auth.py",),
    uses=("db.connect",),
    dependencies=(Needed("db", "Database", ("db.py",), "connect() is in db.py"), Needed("log", "")),
    touches=("src/**",),
    checks=(BriefCheck("unit", "pytest -q"),),
    ports=(41000, 41001),
    attempt=2,
    earlier_failure="the check unit failed",
)
PHASES = ("edit", "rework", "proceed")


def test_everything_of_the_brief_is_told() -> None:
    prompt = render_prompt(FULL)
    for text in (
        *("Sign-in", "Build the sign-in page.", "Shop", "People sign in.", "A shop in Python.", "No new dependencies."),
        *("auth.py", "db.connect", "Database", "db.py", "connect() is in db.py", "log", "src/**", "pytest -q", "41000"),
        "the check unit failed",
    ):
        assert text in prompt


def test_the_ground_rules_are_told() -> None:
    prompt = render_prompt(FULL)
    for words in ("do not push", "no branch", "current directory", "Run the checks", "You may commit"):
        assert words in prompt


def test_a_bare_feature_has_no_empty_sections() -> None:
    prompt = render_prompt(Brief("auth", "", "Do it."))
    assert [line for line in prompt.splitlines() if line.startswith("#")] == [
        "## Ground rules",
        "## Your feature: auth",
        "### The task",
    ]
    assert "\n\n\n" not in prompt


def test_what_is_common_comes_first_and_is_the_same_byte_for_byte() -> None:
    other = replace(FULL, id="cart", name="Cart", prompt="Build the cart.", attempt=1, ports=(42000,), touches=())
    common, _, _ = render_prompt(FULL).partition("Sign-in")
    assert common.endswith("Type hints.\n\n## Your feature: ")
    assert "A shop in Python." in common
    assert render_prompt(other).startswith(common)


@pytest.mark.parametrize(
    "text", ["{{ id }}", "{% raw %}", "{# x #}", "${X} %s", "{{ ''.__class__ }}", "</task>", "a\r\nb"]
)
@pytest.mark.parametrize("where", ["prompt", "context", "feedback", "description", "earlier_failure"])
def test_the_users_text_is_inserted_as_it_is(text: str, where: str) -> None:
    assert text in render_prompt(replace(FULL, **{where: text}))


@pytest.mark.parametrize("phase", ["rework", "proceed"])
def test_in_a_session_that_goes_on_only_what_is_new_is_told(phase: str) -> None:
    prompt = render_prompt(replace(FULL, phase=phase, resumed=True, feedback="E assert 1 == 2"))  # type: ignore[arg-type]
    assert "E assert 1 == 2" in prompt
    assert "pytest -q" in prompt
    assert FULL.prompt not in prompt
    assert len(prompt) < 1000


@pytest.mark.parametrize("phase", ["rework", "proceed"])
def test_in_a_new_session_everything_is_told_again(phase: str) -> None:
    prompt = render_prompt(replace(FULL, phase=phase, feedback="E assert 1 == 2"))  # type: ignore[arg-type]
    for text in ("Ground rules", FULL.prompt, "E assert 1 == 2", "already begun"):
        assert text in prompt


@pytest.mark.parametrize("phase", PHASES)
def test_a_template_uses_fields_of_the_brief_and_nothing_else(phase: str) -> None:
    source = (default_templates() / f"{phase}.md").read_text()
    assert meta.find_undeclared_variables(jinja2.Environment(autoescape=True).parse(source)) <= FIELDS


def test_every_field_is_used_or_meant_for_templates_of_users() -> None:
    used: set[str] = set()
    for phase in PHASES:
        source = (default_templates() / f"{phase}.md").read_text()
        used |= meta.find_undeclared_variables(jinja2.Environment(autoescape=True).parse(source))
    assert {"attempt", "phase"} == FIELDS - used


def test_long_parts_are_cut_and_that_is_said() -> None:
    prompt = render_prompt(replace(FULL, context="c" * 200_000, feedback="f" * 200_000))
    assert len(prompt) < LIMIT
    assert prompt.count("more characters were left out") == 2
    assert FULL.prompt in prompt


def test_a_prompt_is_never_cut() -> None:
    with pytest.raises(OrchestrateError, match="at most 262,144"):
        render_prompt(replace(FULL, prompt="p" * LIMIT))


# ── templates of the user ────────────────────────────────────────────────────────────────────────────────────────


def test_one_file_stands_for_the_first_prompt(tmp_path: Path) -> None:
    template = tmp_path / "mine.md"
    template.write_text("Please: {{ prompt }} ({{ checks[0].command }})")
    assert render_prompt(FULL, template) == "Please: Build the sign-in page. (pytest -q)\n"
    again = render_prompt(replace(FULL, phase="rework", resumed=True, feedback="bad"), template)
    assert "not accepted yet" in again  # ours
    fresh = render_prompt(replace(FULL, phase="rework", feedback="bad"), template)
    assert fresh.startswith("Please: Build the sign-in page.")  # theirs, inside ours


def test_a_directory_replaces_what_it_holds(tmp_path: Path) -> None:
    (tmp_path / "rework.md").write_text("Again: {{ feedback }}")
    assert render_prompt(replace(FULL, phase="rework", feedback="bad"), tmp_path) == "Again: bad\n"
    assert "Ground rules" in render_prompt(FULL, tmp_path)


def test_a_change_of_the_template_is_seen(tmp_path: Path) -> None:
    template = tmp_path / "mine.md"
    template.write_text("one")
    os.utime(template, (1, 1))
    assert render_prompt(FULL, template) == "one\n"
    template.write_text("two")
    os.utime(template, (2, 2))
    assert render_prompt(FULL, template) == "two\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{{ nonsense }}", "nonsense"),
        ("{% if %}", "line 1"),
        ("{{ prompt.__class__.__mro__ }}", "unsafe"),
        ("{{ checks[0].nope }}", "nope"),
        ('{% include "../../etc/passwd" %}', "cannot be filled in"),
    ],
)
def test_a_template_that_cannot_be_used_is_refused(tmp_path: Path, text: str, words: str) -> None:
    template = tmp_path / "mine.md"
    template.write_text(text)
    with pytest.raises(OrchestrateError, match=words) as refusal:
        render_prompt(FULL, template)
    assert refusal.value.hint


def test_a_template_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OrchestrateError, match="cannot be read"):
        render_prompt(FULL, tmp_path / "none.md")
