"""The documentation is true: generated pages are up to date, commands do what the pages say, links lead somewhere."""

from __future__ import annotations

import os
import re
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrate.agents.scripted.script import STEPS
from orchestrate.cli.app import COMMANDS
from orchestrate.core.names import integration_branch
from orchestrate.errors import ExitCode
from orchestrate.spec.layers import OWN_VARIABLES, setting_paths, variable_of
from orchestrate.spec.load import load_project
from orchestrate.spec.models import FeatureEntry
from orchestrate.store.codec import KINDS
from scripts.documentation.pages import MARKER, PAGES, PICTURE, ROOT, build_files
from tests.support.console import CommandBlock, FileBlock, Reader, is_as_said, parse_blocks

REMEDY = "run scripts/render_docs"


def page(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def pages() -> Iterator[Path]:
    """Every Markdown file that is ours."""
    for place in (ROOT, ROOT / "docs", ROOT / "changelog.d"):
        yield from sorted(place.glob("*.md"))
    yield from sorted((ROOT / "docs" / "adr").glob("*.md"))


# ── what is generated ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", tuple(PAGES))
def test_generated_pages_are_up_to_date(name: str) -> None:
    assert page(name) == build_files()[name], REMEDY


def test_the_picture_shows_what_is_printed_today() -> None:
    """Its words; how they are drawn is a matter of the library's version."""

    def words(svg: str) -> list[str]:
        return re.findall(r">([^<>]*\S[^<>]*)</text>", svg)

    svg = page(PICTURE)
    assert words(svg) == words(build_files()[PICTURE]), REMEDY
    assert any("rework" in text for text in words(svg))
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)|url\((?!#)", svg), "loads something from elsewhere"


# ── nothing is left out ──────────────────────────────────────────────────────────────────────────────────────────


def test_every_setting_and_every_key_of_a_feature_is_documented() -> None:
    text = page("docs/configuration.md")
    missing = [variable for path in setting_paths() if f"`{(variable := variable_of(path))}`" not in text]
    rows = set(re.findall(r"^\| `(\w+)`", text.partition("## Features\n")[2], re.MULTILINE))
    assert not missing
    assert set(FeatureEntry.model_fields) - {"comment"} == rows


def test_every_variable_of_the_program_that_a_person_meets_is_documented() -> None:
    inner = {"ORCHESTRATE_EFFECT", "ORCHESTRATE_INVOCATION", "ORCHESTRATE_SCRIPTED_STATE"}
    inner |= {"ORCHESTRATE_FAILPOINT", "ORCHESTRATE_FAILPOINTS_LOG"}  # by which tests let the program die
    text = page("docs/configuration.md")
    assert [name for name in sorted(OWN_VARIABLES - inner) if f"`{name}`" not in text] == []


@pytest.mark.parametrize("command", tuple(COMMANDS))
def test_every_command_is_documented(command: str) -> None:
    text = page("docs/commands.md")
    assert f"\n### {command}\n" in text
    assert f"Usage: orchestrate {command} " in text


@pytest.mark.parametrize("kind", tuple(KINDS))
def test_every_event_is_documented_with_its_fields(kind: str) -> None:
    part = page("docs/events.md").partition(f"\n### {kind}\n")[2].partition("\n### ")[0]
    fields = set(KINDS[kind].__dataclass_fields__) - {"at"}
    assert set(re.findall(r"^\| `(\w+)` \|", part, re.MULTILINE)) == fields


def test_every_exit_code_is_documented() -> None:
    codes = re.findall(r"^\| (\d+) \|", page("docs/exit-codes.md"), re.MULTILINE)
    assert [int(code) for code in codes] == [int(code) for code in ExitCode]


def test_every_step_of_a_script_is_documented() -> None:
    text = page("docs/scripted-agent.md")
    assert [step for step in STEPS if not re.search(rf"^\| `{step}`", text, re.MULTILINE)] == []


def test_every_page_is_in_the_index() -> None:
    index = page("docs/README.md")
    assert [p.name for p in (ROOT / "docs").glob("*.md") if p.name != "README.md" and f"({p.name})" not in index] == []


# ── links ────────────────────────────────────────────────────────────────────────────────────────────────────────


def anchors(text: str) -> set[str]:
    """Of the headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("path", tuple(pages()), ids=lambda path: str(path.relative_to(ROOT)))
def test_every_relative_link_leads_somewhere(path: Path) -> None:
    dead = []
    text = re.sub(r"^```.*?^```$|`[^`\n]*`", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", link):
            continue
        file, _, anchor = link.partition("#")
        target = path.parent / file if file else path
        if not target.exists() or (anchor and anchor not in anchors(target.read_text(encoding="utf-8"))):
            dead.append(link)
    assert dead == []


# ── what is shown is what happens ────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def reader(tmp_path: Path) -> Reader:
    (tmp_path / ".gitconfig").write_text("[user]\n\tname = Ada\n\temail = ada@example.com\n")
    path = f"{sysconfig.get_path('scripts')}{os.pathsep}{os.environ['PATH']}"
    variables = {"PATH": path, "HOME": str(tmp_path), "LC_ALL": "C.UTF-8", "TZ": "UTC", "COLUMNS": "100"}
    return Reader(tmp_path, variables)


@pytest.mark.parametrize("name", ["docs/tutorial.md", "docs/troubleshooting.md"])
def test_commands_print_what_the_page_says(name: str, reader: Reader) -> None:
    blocks = list(parse_blocks(page(name)))
    assert sum(isinstance(block, CommandBlock) for block in blocks) > 10
    for block in blocks:
        assert not (wrong := reader.follow(block)), wrong


def test_the_feature_list_in_the_readme_loads(tmp_path: Path) -> None:
    (written,) = re.findall(r"^```yaml\n(.*?)^```$", page("README.md"), re.MULTILINE | re.DOTALL)
    for name, text in {"config/feature_list.yaml": written, "prompts/profile.md": "Build the profile.\n"}.items():
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text(text)
    loaded = load_project(start=tmp_path, config=None, environ={"XDG_CONFIG_HOME": str(tmp_path)}, flags={})
    assert [feature.id for feature in loaded.features] == ["auth", "profile"]
    assert [check.run for check in loaded.features[0].verify] == ["npm test"]


def test_the_branch_in_the_readme_is_named_as_it_will_be() -> None:
    assert f"git merge {integration_branch('<run>')}" in page("README.md")


# ── the reader himself ───────────────────────────────────────────────────────────────────────────────────────────


def test_blocks_are_files_commands_or_for_reading() -> None:
    text = '```json title="a/b.json"\n{}\n```\n```bash\nrm -r x\n```\n```console\n$ ls\na\n$ true\n```\n'
    assert list(parse_blocks(text)) == [
        FileBlock("a/b.json", "{}\n"),
        CommandBlock("ls", ("a",)),
        CommandBlock("true", ()),
    ]


@pytest.mark.parametrize(
    ("said", "printed", "fits"),
    [
        (["a", "b"], ["a", "b"], True),
        (["a"], ["a", "b"], False),
        (["a", "…"], ["a", "b", "c"], True),
        (["…", "c"], ["a", "b", "c"], True),
        (["…", "b"], ["a", "b", "c"], False),
        (["a", "…", "c"], ["a", "c"], True),
        (["…", "b", "…", "a", "…"], ["a", "b"], False),
        (["took 0:02 at 12:15:34"], ["took  1:30 at 09:00:00"], True),
        (["run 20261121-121826-1a2d at 1aec41a0a4"], ["run 20270101-000000-ffff at 0000000000"], True),
        (["2 of 4"], ["3 of 4"], False),
        ([], [], True),
        ([], ["a"], False),
    ],
)
def test_printed_lines_are_compared_by_their_form(said: list[str], printed: list[str], fits: bool) -> None:
    assert is_as_said(said, printed) is fits


def test_a_reader_finds_what_is_not_so(reader: Reader) -> None:
    assert reader.follow(CommandBlock("mkdir x && cd x && echo hello", ("hello",))) == ""
    assert reader.follow(FileBlock("y/z", "text\n")) == ""
    assert reader.follow(CommandBlock("pwd; cat y/z", ("/home/you/x", "text"))) == ""
    assert "printed was\nhello" in reader.follow(CommandBlock("echo hello", ("bye",)))


def test_every_generated_page_says_so_once() -> None:
    assert [name for name in PAGES if page(name).count(MARKER) != 1] == []
