"""`orchestrate init`: fits the repository at hand, loads cleanly, never overwrites."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from orchestrate.cli.kinds import kind_of, layout_lines, private_files
from tests.support.repos import Repo

from .conftest import Cli

PYTEST = "[project]\nname='x'\nversion='0'\n[project.optional-dependencies]\ntest=['pytest']\n"
IN_VENV = "python3 -m venv .venv && .venv/bin/pip install -q "

KINDS: dict[str, tuple[Mapping[str, str], list[str], list[str]]] = {
    "pyproject with an extra": (
        {"pyproject.toml": PYTEST},
        [IN_VENV + "-e '.[test]'"],
        [".venv/bin/python -m pytest -q"],
    ),
    "requirements without pytest": (
        {"requirements.txt": "flask\n", "conftest.py": ""},
        [IN_VENV + "-r requirements.txt pytest"],
        [".venv/bin/python -m pytest -q"],
    ),
    "unittest": (
        {"setup.py": "from setuptools import setup; setup()"},
        [IN_VENV + "-e ."],
        [".venv/bin/python -m unittest"],
    ),
    "django": (
        {"requirements.txt": "django\n", "manage.py": ""},
        [IN_VENV + "-r requirements.txt"],
        [".venv/bin/python manage.py test"],
    ),
    "tox": ({"tox.ini": "[testenv]\ncommands = nosetests\n"}, [], ["tox -q"]),
    "uv": ({"pyproject.toml": PYTEST, "uv.lock": ""}, ["uv sync --quiet"], ["uv run python -m pytest -q"]),
    "poetry": (
        {"pyproject.toml": "[tool.poetry]\n[tool.pytest.ini_options]\n", "poetry.lock": ""},
        ["poetry install --quiet"],
        ["poetry run python -m pytest -q"],
    ),
    "broken pyproject": ({"pyproject.toml": "]["}, [IN_VENV + "pip"], [".venv/bin/python -m unittest"]),
    "modules and a directory of tests": (
        {"calc.py": "", "tests/test_calc.py": "import unittest\n"},
        [],
        ["python3 -m unittest discover -q -s tests"],
    ),
    "modules and a package of tests": (
        {"calc.py": "", "tests/__init__.py": "", "tests/test_calc.py": "import unittest\n"},
        [],
        ["python3 -m unittest -q"],
    ),
    "modules and tests for pytest": (
        {"calc.py": "", "test_calc.py": "import pytest\n"},
        [],
        ["python3 -m pytest -q"],
    ),
    "npm": (
        {"package.json": '{"scripts": {"test": "jest"}}', "package-lock.json": "{}"},
        ["npm ci"],
        ["npm test"],
    ),
    "npm without a lock": ({"package.json": '{"scripts": {"test": "jest"}}'}, ["npm install"], ["npm test"]),
    "npm without tests": (
        {"package.json": '{"scripts": {"test": "echo \\"Error: no test specified\\" && exit 1"}}'},
        ["npm install"],
        [],
    ),
    "pnpm": (
        {"package.json": '{"scripts": {"test": "vitest"}}', "pnpm-lock.yaml": ""},
        ["pnpm install --frozen-lockfile"],
        ["pnpm test"],
    ),
    "yarn 1": (
        {"package.json": '{"scripts": {"test": "jest"}}', "yarn.lock": ""},
        ["yarn install --frozen-lockfile"],
        ["yarn test"],
    ),
    "yarn 4": (
        {"package.json": '{"scripts": {"test": "jest"}, "packageManager": "yarn@4.1.0"}'},
        ["yarn install --immutable"],
        ["yarn test"],
    ),
    "bun": (
        {"package.json": '{"scripts": {"test": "bun test"}}', "bun.lock": ""},
        ["bun install --frozen-lockfile"],
        ["bun run test"],
    ),
    "broken package.json": ({"package.json": "{"}, ["npm install"], []),
    "rspec": ({"Gemfile": "gem 'rspec'\n"}, ["bundle install --quiet"], ["bundle exec rspec"]),
    "rails": (
        {"Gemfile": "gem 'rails'\n", "bin/rails": "", "package.json": "{}"},
        ["bundle install --quiet", "bin/rails db:test:prepare"],
        ["bin/rails test"],
    ),
    "ruby": ({"Gemfile": ""}, ["bundle install --quiet"], ["bundle exec rake test"]),
    "rust": ({"Cargo.toml": ""}, [], ["cargo test --quiet"]),
    "go": ({"go.mod": "module x\n"}, [], ["go test ./..."]),
    "gradle wrapper": ({"build.gradle.kts": "", "gradlew": ""}, [], ["./gradlew --quiet test"]),
    "gradle": ({"build.gradle": ""}, [], ["gradle --quiet test"]),
    "maven": ({"pom.xml": ""}, [], ["mvn -q test"]),
    "maven wrapper": ({"pom.xml": "", "mvnw": ""}, [], ["./mvnw -q test"]),
    "make": ({"Makefile": "all:\n\ntest: all\n\t./t\n"}, [], ["make test"]),
    "make with a variable only": ({"Makefile": "test := x\n"}, [], []),
    "make beside a language": ({"Makefile": "test:\n", "go.mod": ""}, [], ["go test ./..."]),
    "two languages": (
        {"go.mod": "", "package.json": '{"scripts": {"test": "jest"}}'},
        ["npm install"],
        ["npm test", "go test ./..."],
    ),
    "nothing known": ({"README.md": "hello"}, [], []),
}


@pytest.mark.parametrize("name", KINDS)
def test_kind(name: str, tmp_path: Path) -> None:
    files, setup, verify = KINDS[name]
    Repo(tmp_path).write(files)
    kind = kind_of(tmp_path)
    assert list(kind.setup) == setup
    assert list(kind.verify) == verify


@pytest.mark.parametrize("name", ["pyproject with an extra", "npm", "rails", "go", "two languages", "nothing known"])
def test_what_is_written_plans_cleanly(cli: Cli, name: str, tmp_path: Path) -> None:
    files, setup, verify = KINDS[name]
    ignored = {".gitignore": ".venv/\nnode_modules/\n"}
    repo = Repo.make(tmp_path / 'it\'s a "repo"', {**files, **ignored}, branch="trunk")
    written = cli("init", "--yes", at=repo.path)
    assert written.code == 0
    assert "wrote       config/feature_list.json" in written.out
    planned = cli("plan", "--json", at=repo.path)
    assert planned.code == 0
    assert planned.err == ""
    document = planned.json
    assert document["base"]["branch"] == "trunk"
    assert document["waves"] == [["greeting"], ["greeting-docs"]]
    assert document["notices"] == []
    assert document["features"][0]["checks"] == verify
    shown = cli("config", "show", "--json", at=repo.path).json["settings"]
    assert shown["setup"]["value"] == setup
    assert shown["limits.max_cost_usd"]["value"] == 20


def test_private_files_are_copied(cli: Cli, tmp_path: Path) -> None:
    repo = Repo.make(tmp_path / "r", {".gitignore": ".env\n"})
    repo.write({".env": "SECRET=1\n"})
    assert private_files(repo.path) == (".env",)
    cli("init", at=repo.path)
    assert cli("config", "--json", at=repo.path).json["settings"]["copy"]["value"] == [".env"]


def test_a_feature_list_is_never_overwritten(cli: Cli, shop: Repo) -> None:
    before = (shop.path / "config/feature_list.json").read_text()
    again = cli("init", "--yes", at=shop.path)
    assert again.code == 0
    assert again.out == "left alone: config/feature_list.json (there is a feature list already)\n"
    assert (shop.path / "config/feature_list.json").read_text() == before
    assert not (shop.path / "prompts").exists()


def test_a_feature_list_of_another_format_counts_too(cli: Cli, tmp_path: Path) -> None:
    repo = Repo.make(tmp_path / "r", {"feature_list.yaml": "features: []\n"})
    assert "left alone: feature_list.yaml" in cli("init", at=repo.path).out
    assert not (repo.path / "config").exists()


def test_prompts_are_never_overwritten(cli: Cli, tmp_path: Path) -> None:
    repo = Repo.make(tmp_path / "r", {"prompts/greeting.md": "mine"})
    written = cli("init", at=repo.path)
    assert "left alone: prompts/greeting.md" in written.out
    assert (repo.path / "prompts/greeting.md").read_text() == "mine"
    assert cli("plan", at=repo.path).code == 0


def test_dry_run_writes_nothing(cli: Cli, tmp_path: Path) -> None:
    repo = Repo.make(tmp_path / "r")
    shown = cli("init", "--dry-run", at=repo.path)
    assert '"features": [' in shown.out
    assert not (repo.path / "config").exists()


def test_a_file_in_the_way_is_refused(cli: Cli, tmp_path: Path) -> None:
    repo = Repo.make(tmp_path / "r", {"config": "a file"})
    refused = cli("init", at=repo.path)
    assert refused.code == 2
    assert "config is not a directory" in refused.err


def test_from_a_subdirectory_it_is_written_at_the_top(cli: Cli, tmp_path: Path) -> None:
    repo = Repo.make(tmp_path / "r", {"src/x.py": ""})
    cli("init", at=repo.path / "src")
    assert (repo.path / "config/feature_list.json").is_file()


def test_outside_of_a_repository(cli: Cli, tmp_path: Path) -> None:
    refused = cli("init", at=tmp_path)
    assert refused.code == 2
    assert "not inside a git repository" in refused.err


def test_a_repository_without_commits(cli: Cli, tmp_path: Path) -> None:
    repo = Repo.make(tmp_path / "r", {})
    assert cli("init", at=repo.path).code == 0
    assert json.dumps("main") in (repo.path / "config/feature_list.json").read_text()


def test_what_setup_makes_and_git_does_not_ignore_is_said(cli: Cli, tmp_path: Path) -> None:
    repo = Repo.make(tmp_path / "r", {"requirements.txt": "flask\n", "conftest.py": ""})
    said = cli("init", at=repo.path).err
    assert "note: setup makes .venv, which git does not ignore" in said and "line to .gitignore: .venv/" in said
    repo.write({".gitignore": ".venv\n"})
    assert "setup makes" not in cli("plan", at=repo.path).err


SETUPTOOLS = "[project]\nname='x'\nversion='0'\n"

LAYOUTS: dict[str, tuple[Mapping[str, str], tuple[str, ...]]] = {
    "a package": (
        {"pyproject.toml": SETUPTOOLS, "shop/__init__.py": "", "tests/__init__.py": ""},
        ("[tool.setuptools.packages.find]", 'include = ["shop*"]'),
    ),
    "modules": (
        {"pyproject.toml": SETUPTOOLS, "calc.py": "", "test_calc.py": "", "conftest.py": ""},
        ("[tool.setuptools]", 'py-modules = ["calc"]'),
    ),
    "src": ({"pyproject.toml": SETUPTOOLS, "src/shop/__init__.py": ""}, ()),
    "named already": (
        {"pyproject.toml": SETUPTOOLS + "[tool.setuptools]\npackages = ['shop']\n", "shop/__init__.py": ""},
        (),
    ),
    "named in setup.py": (
        {"pyproject.toml": SETUPTOOLS, "setup.py": "setup(packages=['shop'])", "shop/__init__.py": ""},
        (),
    ),
    "another backend": (
        {"pyproject.toml": SETUPTOOLS + "[build-system]\nbuild-backend = 'hatchling.build'\n", "shop/__init__.py": ""},
        (),
    ),
    "nothing is installed": ({"requirements.txt": "flask\n", "shop/__init__.py": ""}, ()),
    "broken": ({"pyproject.toml": "]["}, ()),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_packages_are_named_before_setuptools_guesses(name: str, cli: Cli, tmp_path: Path) -> None:
    files, lines = LAYOUTS[name]
    repo = Repo.make(tmp_path / "r", files)
    assert layout_lines(repo.path, kind_of(repo.path)) == lines
    said = [line.strip() for line in cli("init", at=repo.path).err.splitlines()]
    assert all(line in said for line in lines)
    assert any("config/ and prompts/ for packages" in line for line in said) is bool(lines)
