"""Every bad input that concerns loading: one clear message, its place, a hint, and nothing created.

The numbers of the groups follow the catalogue of bad inputs in the order ids, files, values.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

import pytest

from orchestrate.errors import Problem
from tests.support.projects import FEATURE, Project

LIST = "config/feature_list.json"


def assert_clear(problem: Problem, message: str, *, place: str = "") -> None:
    """Says what is wrong, where, and what to do; nothing that a terminal would act on."""
    assert message in problem.message
    assert problem.hint
    assert all(c.isprintable() for c in problem.message + problem.hint)
    if place:
        assert problem.place == place


BAD_IDS = {
    "../x": "'/'",
    "a/../../b": "'/'",
    "/etc/x": "'/'",
    "-D": "must start and end with",
    "--help": "must start and end with",
    "--upload-pack=touch x": "U+0020 (SPACE)",
    "": "is empty",
    "a" * 300: "300 characters",
    "a..b": "two dots in a row",
    "a.lock": ".lock",
    ".a": "must start and end with",
    "a.": "must start and end with",
    "@": "'@'",
    "@{-1}": "'@'",
    "HEAD": "reserved",
    "a b": "U+0020",
    "a\tb": "U+0009",
    "a\nb": "U+000A",
    "a~1": "'~'",
    "a^": "'^'",
    "a:b": "':'",
    "a?": "'?'",
    "a*": "'*'",
    "a[": "'['",
    "a\\b": "'\\'",
    "CON": "reserved",
    "nul.txt": "reserved",
    "aux ": "U+0020",
    "\u202eabc": "U+202E (RIGHT-TO-LEFT OVERRIDE)",
    "a\u200bb": "U+200B (ZERO WIDTH SPACE)",
    "a\U000e0041b": "U+E0041",
    "é": "'é'",
    "$(id)": "'$'",
    "`id`": "'`'",
    ";rm": "';'",
    "a|b": "'|'",
    "a&&b": "'&'",
    'a"b': "'\"'",
    "<script>alert(1)</script>": "'<'",
    "feature/a": "'/'",
    "__proto__": "must start and end with",
    "\u212a": "look like ASCII",
    "all": "reserved",
    "integration": "reserved",
}


@pytest.mark.parametrize("fid", BAD_IDS, ids=ascii)
def test_an_id_that_cannot_name_a_branch_is_refused(project: Project, fid: str) -> None:
    project.write("config/feature_list.json", f'{{"features": [{{"id": {json.dumps(fid)}, "prompt": "x"}}]}}')
    assert_clear(project.problem(), BAD_IDS[fid], place=f"{LIST}:1:22")


def test_an_id_with_nul_is_refused(project: Project) -> None:
    project.write_features({"id": "a\0b", "prompt": "x"})
    assert_clear(project.problem(), "features[0].id contains a NUL character", place=f"{LIST}:4:10")


@pytest.mark.parametrize("fid", ["constructor", "a", "Auth-2_x.y", "0x1", "no"])
def test_an_id_that_only_looks_odd_is_fine(project: Project, fid: str) -> None:
    project.write_features({"id": fid, "prompt": "x"})
    assert project.load().features[0].id == fid


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("7", "got the number 7"),
        ("1.5", "got the number 1.5"),
        ("1e5", "got the number 100000.0"),
        ("true", "got true"),
        ("null", "got nothing (null)"),
        ("[]", "got a list"),
        ("{}", "got a mapping"),
    ],
)
def test_an_id_that_is_no_text_is_refused(project: Project, written: str, message: str) -> None:
    project.write(LIST, f'{{"features": [\n  {{"id": {written}, "prompt": "x"}}]}}')
    assert_clear(project.problem(), f"expected text, {message}", place=f"{LIST}:2:10")


def test_in_yaml_no_is_an_id_and_numbers_are_not(project: Project) -> None:
    project.write("config/feature_list.yaml", "features:\n  - {id: no, prompt: x}\n  - {id: 0x1, prompt: x}\n")
    assert_clear(project.problem(), "expected text, got the number 1", place="config/feature_list.yaml:3:10")
    project.write("config/feature_list.yaml", "features:\n  - {id: no, prompt: x}\n")
    assert project.load().features[0].id == "no"


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ("auth", "auth", 'the id "auth" is used twice; first in line 4'),
        ("Auth", "auth", 'the ids "Auth" (line 4) and "auth" are one file on some disks'),
    ],
)
def test_ids_that_clash_are_refused(project: Project, first: str, second: str, message: str) -> None:
    project.write_features({"id": first, "prompt": "x"}, {"id": second, "prompt": "x"})
    assert_clear(project.problem(), message, place=f"{LIST}:8:10")


def test_two_forms_of_one_letter_are_seen_as_the_same(project: Project) -> None:
    project.write_features({"id": "\u00e9", "prompt": "x"}, {"id": "e\u0301", "prompt": "x"})
    assert any("one file on some disks" in problem.message for problem in project.problems())


def test_an_id_cannot_be_the_base_branch(project: Project) -> None:
    project.write_list(base_branch="Main", features=[{"id": "main", "prompt": "x"}])
    assert_clear(project.problem(), 'the id "main" is also the base branch', place=f"{LIST}:4:10")


# ── dependencies ─────────────────────────────────────────────────────────────────────────────────────────────────────


def feature(fid: str, *needs: str) -> dict[str, Any]:
    return {"id": fid, "prompt": "x", "depends_on": list(needs)}


def test_a_feature_cannot_depend_on_itself(project: Project) -> None:
    project.write_features(feature("a", "a"))
    assert_clear(project.problem(), 'feature "a" depends on itself', place=f"{LIST}:7:5")


def test_a_cycle_of_two_is_printed(project: Project) -> None:
    project.write_features(feature("a", "b"), feature("b", "a"))
    assert_clear(project.problem(), "form a cycle: a → b → a", place=f"{LIST}:6:18")


def test_a_cycle_of_fifty_is_printed(project: Project) -> None:
    project.write_features(*(feature(f"f{n}", f"f{(n + 1) % 50}") for n in range(50)))
    message = project.problem().message
    assert message.endswith(" → ".join(["f0", *(f"f{n}" for n in range(1, 50)), "f0"]))


def test_an_unknown_dependency_names_the_nearest_id(project: Project) -> None:
    project.write_features(feature("auth"), feature("api", "auht"))
    problem = project.problem()
    assert_clear(problem, 'feature "api" depends on "auht", which is not in the list')
    assert problem.hint == 'did you mean "auth"?'


def test_a_chain_of_five_thousand_is_fine(project: Project) -> None:
    project.write_features(*(feature(f"f{n}", *([f"f{n - 1}"] if n else [])) for n in range(5000)))
    assert len(project.load().features) == 5000


def test_a_chain_of_five_thousand_that_closes_is_a_cycle(project: Project) -> None:
    project.write_features(*(feature(f"f{n}", f"f{(n - 1) % 5000}") for n in range(5000)))
    assert_clear(project.problem(), "form a cycle: f0 → f4999 → f4998")


def test_thousands_of_mistakes_are_still_told_in_time(project: Project) -> None:
    project.write_features(*(feature(f"f{n}", f"g{n}") for n in range(2000)))
    assert len(project.problems()) == 2000


# ── files ────────────────────────────────────────────────────────────────────────────────────────────────────────────


BAD_JSON: dict[str, tuple[str | bytes, str, str]] = {
    "duplicate key": ('{"features": [],\n "features": []}', "the key `features` is written twice", "2:2"),
    "duplicate key inside": (
        '{"features": [{"id": "a", "prompt": "x",\n  "id": "b"}]}',
        "the key `features[0].id` is written twice",
        "2:3",
    ),
    "NaN": ('{"features": [],\n"timeout_seconds": NaN}', "not a number that can be used", "2:20"),
    "infinite": ('{"features": [], "timeout_seconds": 1e999}', "not a number that can be used", "1:37"),
    "400 digits": ('{"max_parallel": 1' + "0" * 400 + "}", "not a number that can be used", "1:18"),
    "5000 digits": ('{"max_parallel": 1' + "0" * 5000 + "}", "not a number that can be used", "1:18"),
    "deep": ("[" * 20_000, "nested more than 100 levels deep", "1:101"),
    "deep inside": ('{"features": ' + "[" * 20_000 + "]" * 20_000 + "}", "nested more than 100 levels", "1:113"),
    "UTF-16": ('{"features": []}'.encode("utf-16"), "UTF-16", "1:1"),
    "UTF-16 without mark": ('{"features": []}'.encode("utf-16-le"), "UTF-16", "1:1"),
    "Latin-1": ('{"project":\n {"name": "Café"}}'.encode("latin-1"), "0xe9 is not UTF-8", "2:15"),
    "cut off": ('{"features": [', "a value was expected", "1:15"),
    "missing comma": ('{"a": 1\n "b": 2}', "a comma or a closing bracket was expected", "2:2"),
    "missing quotes": ("{features: []}", "a key in double quotes was expected", "1:2"),
    "single quotes": ("{\"a\": 'x'}", "double quotes", "1:7"),
    "open text": ('{"a": "x}', "never closed", "1:7"),
    "open comment": ('{"a": 1} /* x', "comment that begins here is never closed", "1:10"),
    "line break in text": ('{"a": "x\ny"}', "line break or control character", "1:9"),
    "two documents": ('{"a": 1} {"b": 2}', "something follows after the end", "1:10"),
    "lone comma": ('{"a": [,]}', "a value was expected", "1:8"),
    "list at the top": ("// list\n[]", "expected a mapping of keys at the top, got a list", "1:1"),
    "text at the top": ('"x"', "got text", "1:1"),
    "empty": ("", "the file is empty", "1:1"),
    "only white space": (" \n ", "the file is empty", "1:1"),
}


@pytest.mark.parametrize("name", BAD_JSON)
def test_json_that_cannot_be_read(project: Project, name: str) -> None:
    content, message, place = BAD_JSON[name]
    project.write(LIST, content)
    assert_clear(project.problem(), message, place=f"{LIST}:{place}")


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbf" + b'{"features": [{"id": "a", "prompt": "x"}]}',
        b'{\r\n"features": [\r\n{"id": "a", "prompt": "x"}]}\r\n',
        b'{"features": [{"id": "a", "prompt": "x",},],} // the end',
        b'/* a */{"features": [/* b\n */{"id": "a", "prompt": "x"}]}',
    ],
    ids=["BOM", "CRLF", "trailing commas", "comments"],
)
def test_json_that_is_only_unusual_is_read(project: Project, content: bytes) -> None:
    project.write(LIST, content)
    assert [feature.prompt for feature in project.load().features] == ["x"]


BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{above}'] * 10)}]\n" for above, name in zip("abcdefgh", "bcdefghi", strict=True)
)

BAD_YAML = {
    "bomb": (BOMB, "aliases repeat more than 200,000 values", ""),
    "python object": ("features: !!python/object/apply:os.system [id]", "python/object/apply:os.system is not", "1:11"),
    "own tag": ("features: !foo x", "the tag !foo is not allowed", "1:11"),
    "tab": ("features:\n\t- id: a", "a tab cannot be used for indentation", "2:1"),
    "open bracket": ("features: [a, b", "is not YAML", "1:16"),
    "duplicate key": ("features: []\nfeatures: []", "the key `features` is written twice", "2:1"),
    "two documents": ("a: 1\n---\nb: 2", "more than one YAML document", "2:1"),
    "self-reference": ("features: &a [*a]", "the alias *a refers to itself", "1:15"),
    "unknown alias": ("features: *a", "the alias *a refers to nothing", "1:11"),
    "deep": ("[" * 20_000, "nested more than 100 levels deep", "1:101"),
    "infinite": ("timeout_seconds: .inf", ".inf is not a number that can be used", "1:18"),
    "not a number": ("timeout_seconds: .nan", ".nan is not a number that can be used", "1:18"),
    "huge": ("max_parallel: 1" + "0" * 400, "is too large", "1:15"),
    "huge float": ("timeout_seconds: 1e999", "is too large", "1:18"),
    "bell": ("name: \x07", "U+0007 is not allowed in YAML", "1:7"),
    "list as a key": ("? [a]\n: b", "a key must be text", "1:3"),
    "nothing": ("# only a comment", "expected a mapping of keys at the top, got nothing", "1:1"),
}


@pytest.mark.parametrize("name", BAD_YAML)
def test_yaml_that_cannot_be_read(project: Project, name: str) -> None:
    text, message, place = BAD_YAML[name]
    project.write("config/feature_list.yaml", text)
    assert_clear(project.problem(), message, place=f"config/feature_list.yaml:{place}" if place else "")


BAD_TOML = {
    "not TOML": ("a = ", "is not TOML: invalid value", "1:5"),
    "duplicate key": ("max_parallel = 1\nmax_parallel = 2", "is written twice", "2:17"),
    "deep": ("a = " + "[" * 20_000, "nested more than 100 levels deep", "1:105"),
    "huge": ("max_parallel = 1" + "0" * 5000, "this number is too large", "1:16"),
    "not a number": ('timeout_seconds = nan\nfeatures = [{id = "a", prompt = "x"}]', "must be a finite number", "1:19"),
    "infinite": ('timeout_seconds = inf\nfeatures = [{id = "a", prompt = "x"}]', "must be", "1:19"),
    "a date": ('base_branch = 2024-01-01\nfeatures = [{id = "a", prompt = "x"}]', "got the date or time", "1:15"),
}


@pytest.mark.parametrize("name", BAD_TOML)
def test_toml_that_cannot_be_read(project: Project, name: str) -> None:
    text, message, place = BAD_TOML[name]
    project.write("config/feature_list.toml", text)
    assert_clear(project.problem(), message, place=f"config/feature_list.toml:{place}")


def test_a_list_that_is_no_file(project: Project) -> None:
    (project.root / "config").mkdir()
    os.mkfifo(project.root / LIST)
    project.config = project.root / LIST
    assert_clear(project.problem(), "not a regular file", place=LIST)


def test_branches_cannot_begin_with_the_name_of_the_base_branch(project: Project) -> None:
    project.write_list(base_branch="orch", branch_prefix="Orch")
    assert_clear(project.problem(), "the base branch has that name", place=f"{LIST}:9:19")


def test_a_list_that_is_too_large(project: Project) -> None:
    os.truncate(project.write(LIST, "{}"), 40 * 1024 * 1024)
    assert_clear(project.problem(), "at most 33,554,432 are read", place=LIST)


def test_a_list_with_an_unknown_extension(project: Project) -> None:
    project.config = project.write("plan.ini", "x")
    assert_clear(project.problem(), "extension is not known", place="plan.ini")


# ── keys and values ──────────────────────────────────────────────────────────────────────────────────────────────────


BAD_SETTINGS: list[tuple[str, Any, str]] = [
    ("max_parallel", 0, "must be at least 1, not 0"),
    ("max_parallel", -1, "must be at least 1, not -1"),
    ("max_parallel", 10**6, "must be at most 256, not 1000000"),
    ("max_parallel", "3", 'expected a whole number, got text "3"'),
    ("max_parallel", True, "expected a whole number, got true"),
    ("max_parallel", 2.5, "expected a whole number, got the number 2.5"),
    ("timeout_seconds", 0, "must be more than 0, not 0"),
    ("timeout_seconds", -1, "must be more than 0, not -1"),
    ("timeout_seconds", 1e12, "must be at most 604,800"),
    ("timeout_seconds", None, "expected a number, got nothing (null)"),
    ("limits.max_cost_usd", -1, "must be at least 0.01, not -1"),
    ("limits.max_cost_usd", 0, "must be at least 0.01, not 0"),
    ("limits.max_cost_usd", "$5", 'expected a number, got text "$5"'),
    ("limits.max_cost_usd", 1e-9, "must be at least 0.01, not 1e-09"),
    ("limits.stall_seconds", 0, "must be more than 0"),
    ("limits", 5, "expected a mapping, got the number 5"),
    ("base_branch", "-x", "cannot be the name of a branch"),
    ("base_branch", "a..b", "cannot be the name of a branch"),
    ("base_branch", "a b", "cannot be the name of a branch"),
    ("branch_prefix", "-x", "cannot begin branch names"),
    ("branch_prefix", "a//b", "cannot begin branch names"),
    ("project.repo_path", "~nobody-of-that-name/x", "is no directory"),
    ("start_on", "verfied", "expected one of verified, integrated"),
    ("schedule", 1, "expected one of ready, waves, got the number 1"),
    ("verify", "pytest", 'expected a list, got text "pytest"'),
    ("verify", [""], "must not be empty"),
    ("verify", ["  "], "must not be empty"),
    ("verify", [3], "expected text or a mapping, got the number 3"),
    ("verify", [{"name": "x"}], "the key `run` is missing"),
    ("verify", [{"run": "x", "when": "never"}], "expected one of feature, integration, both"),
    ("verify", [{"run": "x", "timeout": 3}], 'unknown key "timeout"'),
    ("verify", ["pytest", "pytest"], 'verify has two entries called "pytest"'),
    ("copy", ["/etc/passwd"], "relative to the repository's root"),
    ("copy", ["../x"], "relative to the repository's root"),
    ("agent", "codex", "no agent of that name; known: claude, scripted"),
    ("env", {"A B": "x"}, "letters, digits and _ only"),
    ("env", {"PORT": 3000}, "expected text, got the number 3000"),
    ("env", {"GIT_DIR": "x"}, "set by the program itself"),
    ("env", ["A=b"], "expected a mapping, got a list"),
    ("claude.permission_mode", "yolo", "expected one of default, acceptEdits"),
    ("claude.allowed_tools", "Read", 'expected a list, got text "Read"'),
    ("ports.first", 80, "must be at least 1,024"),
    ("ports.first", 65_530, "3 worktrees need ports up to 65,559"),
    ("prompts.context_file", "nope.md", 'the context file "nope.md" does not exist'),
    ("scripted.script", "nope.json", 'the file "nope.json" does not exist'),
    ("project.repo_path", "nowhere", "is no directory"),
    ("project.repo_path", "..", "which is in no git repository"),
    ("project.repo_path", "a\nb", 'repo_path "a\\nb" is no directory'),
    ("features", [], "must not be empty"),
    ("features", {}, "expected a list, got a mapping"),
]


def nested(key: str, value: Any) -> dict[str, Any]:
    first, _, rest = key.partition(".")
    return {first: nested(rest, value) if rest else value}


@pytest.mark.parametrize(("key", "value", "message"), BAD_SETTINGS, ids=lambda value: ascii(value)[:40])
def test_a_setting_that_cannot_be(project: Project, key: str, value: Any, message: str) -> None:
    project.write_list(**nested(key, value))
    problem = project.problem()
    assert_clear(problem, message)
    assert problem.source == LIST
    assert problem.line > 1


BAD_KEYS = [
    ({"depend_on": []}, 'unknown key "depend_on"', 'did you mean "depends_on"?'),
    ({"Prompt-File": "x"}, 'unknown key "Prompt-File"', 'did you mean "prompt_file"?'),
    ({"zzz": 1}, 'unknown key "zzz"', "known here: id, name"),
    ({"a\x1b[31m": 1}, 'unknown key "a\\x1b[31m"', "known here"),
    ({"depends_on": "auth"}, 'expected a list, got text "auth"', 'write ["auth"]'),
    ({"depends_on": [1]}, "expected text, got the number 1", "put it in quotes"),
    ({"depends_on": None}, "expected a list, got nothing (null)", "depends_on: "),
    ({"priority": "1"}, 'expected a whole number, got text "1"', "write 1, without quotes"),
    ({"expects_changes": 1}, "expected true or false, got the number 1", "write true or false"),
    ({"tags": [" "]}, "must not be empty", "tags: "),
    ({"agent": "gpt"}, "no agent of that name", "agent: "),
    ({"timeout_seconds": -1}, "must be more than 0", "timeout_seconds: "),
    ({"max_cost_usd": 0}, "must be at least 0.01", "max_cost_usd: "),
    ({"max_attempts": 0}, "must be at least 1", "max_attempts: "),
    ({"max_reworks": -1}, "must be at least 0", "max_reworks: "),
    ({"estimated_tokens": 10**15}, "must be at most 1,000,000,000", "estimated_tokens: "),
    ({"touches": ["../**"]}, "relative to the repository's root", "touches: "),
    ({"verify": [{"run": ""}]}, "must not be empty", "run: "),
    ({"name": "\ud800"}, "features[0].name contains half a character", "remove it"),
    ({"description": ["x"]}, "expected text, got a list", "description: "),
]


@pytest.mark.parametrize(("keys", "message", "hint"), BAD_KEYS, ids=lambda value: ascii(value)[:40])
def test_a_feature_that_cannot_be(project: Project, keys: dict[str, Any], message: str, hint: str) -> None:
    project.write_features({**FEATURE, **keys})
    problem = project.problem()
    assert_clear(problem, message)
    assert hint in problem.hint
    assert problem.line >= 6


def test_a_feature_whose_check_is_already_the_projects(project: Project) -> None:
    project.write_list(verify=["pytest"], features=[{**FEATURE, "verify": ["ruff check", "pytest"]}])
    assert_clear(project.problem(), 'verify has two entries called "pytest"')


def test_a_setting_that_is_given_twice(project: Project) -> None:
    project.write_list(project={"max_parallel": 2}, max_parallel=3)
    assert_clear(project.problem(), "`max_parallel` stands here and at the top of the file", place=f"{LIST}:9:3")


def test_a_feature_may_not_cost_more_than_the_run(project: Project) -> None:
    project.write_list(limits={"max_cost_usd": 5, "feature_max_cost_usd": 6})
    assert_clear(project.problem(), "a feature may cost $6, but the whole run only $5")


def test_the_scripted_agent_needs_a_script(project: Project) -> None:
    project.write_list(agent="scripted")
    assert_clear(project.problem(), "is for the scripted agent, which has no script")


def test_all_problems_are_told_at_once_from_top_to_bottom(project: Project) -> None:
    project.write_list(
        max_parallel=0,
        verify=[""],
        prompts={"context_file": "nope.md"},
        features=[
            {"id": "a", "prompt": "x", "depends_on": ["b"], "oops": 1},
            {"id": "b", "prompt_file": "nope.md", "depends_on": ["a"]},
            {"id": "../c", "prompt": " "},
        ],
    )
    project.environ = {"ORCHESTRATE_MAX_PARALEL": "3"}
    problems = project.problems()
    assert [problem.message.split(":")[0][:40] for problem in problems] == [
        "the dependencies form a cycle",
        'unknown key "oops"',
        'the prompt file "nope.md" does not exist',
        "the id \"../c\" contains '/'",
        "the prompt holds nothing but white space",
        "must be at least 1, not 0",
        "must not be empty",
        'the context file "nope.md" does not exis',
        "no setting has this name",
    ]


# ── prompt files ─────────────────────────────────────────────────────────────────────────────────────────────────────


def link_to(target: str) -> Callable[[Project], None]:
    def make(project: Project) -> None:
        (project.root / "prompts").mkdir()
        (project.root / "prompts/x.md").symlink_to(target)

    return make


def content(text: bytes) -> Callable[[Project], None]:
    def make(project: Project) -> None:
        project.write("prompts/x.md", text)

    return make


def fifo(project: Project) -> None:
    (project.root / "prompts").mkdir()
    os.mkfifo(project.root / "prompts/x.md")


def folder(project: Project) -> None:
    (project.root / "prompts/x.md").mkdir(parents=True)


def huge(project: Project) -> None:
    os.truncate(project.write("prompts/x.md", "x"), 300_000_000)


def nothing(project: Project) -> None:
    pass


def linked_folder(project: Project) -> None:
    outside = project.root.parent / "outside"
    outside.mkdir()
    (outside / "x.md").write_text("secret")
    (project.root / "prompts").symlink_to(outside)


BAD_PROMPT_FILES: list[tuple[str, Callable[[Project], None], str]] = [
    ("/etc/passwd", nothing, "is an absolute path"),
    ("~/x.md", nothing, "is an absolute path"),
    ("../x.md", nothing, "leads out of the project"),
    ("prompts/../../x.md", nothing, "leads out of the project"),
    ("", nothing, "names no file"),
    ("prompts", folder, "is a directory"),
    ("x.md", nothing, "does not exist"),
    ("x.md", link_to("/etc/passwd"), "leads over a symbolic link"),
    ("x.md", link_to("/dev/zero"), "leads over a symbolic link"),
    ("prompts/x.md", linked_folder, "leads over a symbolic link"),
    ("x.md", folder, "is a directory"),
    ("x.md", fifo, "is not a regular file"),
    ("x.md", huge, "has 300,000,000 bytes; at most 262,144"),
    ("x.md", content(b""), "is empty"),
    ("x.md", content(b" \n\t\n"), "holds nothing but white space"),
    ("x.md", content(b"ok\n\xff"), "is not UTF-8 (line 2)"),
    ("x.md", content(b"a\0b"), "contains a NUL character"),
]


@pytest.mark.parametrize(
    ("written", "make", "message"), BAD_PROMPT_FILES, ids=lambda value: getattr(value, "__name__", str(value))
)
def test_a_prompt_file_that_cannot_be_used(
    project: Project, written: str, make: Callable[[Project], None], message: str
) -> None:
    make(project)
    project.write_features({"id": "a", "prompt_file": written})
    problem = project.problem()
    assert_clear(problem, message, place=f"{LIST}:5:19")
    assert f'"{written}"' in problem.message


@pytest.mark.parametrize(
    ("feature", "message"),
    [
        ({"id": "a"}, 'feature "a" has no prompt'),
        ({"id": "a", "prompt": "x", "prompt_file": "y"}, "has both `prompt` and `prompt_file`"),
        ({"id": "a", "prompt": ""}, "the prompt is empty"),
        ({"id": "a", "prompt": "é" * 140_000}, "the prompt has more than 262,144 bytes"),
        ({"id": "a", "prompt": "a\0b"}, "features[0].prompt contains a NUL character"),
        ({"id": "a", "description": "  "}, 'feature "a" has no prompt'),
    ],
)
def test_a_prompt_that_cannot_be_used(project: Project, feature: dict[str, Any], message: str) -> None:
    project.write_features(feature)
    assert_clear(project.problem(), message)


@pytest.mark.parametrize("prompt", ["-x --help", "x" * 200_000, "{{template}} {% raw %}", "%s ${X} $(id)", "/compact"])
def test_a_prompt_is_taken_literally(project: Project, prompt: str) -> None:
    project.write_features({"id": "a", "prompt": prompt})
    assert project.load().features[0].prompt == prompt
