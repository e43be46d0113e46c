"""What kind of repository this is, by the files in it: how it is set up, how it is tested, what it keeps out of git.

Invariant: looks at files only; runs nothing. What it finds is a first guess for a file that the user goes on editing.
"""

from __future__ import annotations

import json
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

_PRIVATE_FILES = (".env", ".env.local", ".env.test", ".env.development", "config/master.key", "local.properties")
"""Files that projects keep out of git and need to run; copied into worktrees where they exist."""


@dataclass(frozen=True, slots=True)
class Kind:
    """name: as one says it. setup, verify: shell commands, in order."""

    name: str
    setup: tuple[str, ...] = ()
    verify: tuple[str, ...] = ()


def kind_of(root: Path) -> Kind:
    """All the kinds that the repository is at once, as one: a Rails application may have a package.json too."""
    found = [kind for look in (_python, _node, _ruby, _rust, _go, _gradle, _maven) if (kind := look(root))]
    tested = [kind for kind in found if kind.verify]
    if not tested and (make := _make(root)):
        tested = [make]
    kinds = tested or found
    return Kind(
        " and ".join(kind.name for kind in kinds),
        tuple(command for kind in kinds for command in kind.setup),
        tuple(command for kind in kinds for command in kind.verify),
    )


def private_files(root: Path) -> tuple[str, ...]:
    """Files to copy into every worktree."""
    return tuple(name for name in _PRIVATE_FILES if (root / name).is_file())


def layout_lines(root: Path, kind: Kind) -> tuple[str, ...]:
    """Lines for pyproject.toml that name the project's own packages, where setuptools would guess them from the
    directories at the top and stumble over ours. Empty where it would not.

    https://setuptools.pypa.io/en/latest/userguide/package_discovery.html#flat-layout
    """
    if not any(re.search(r"\bpip install\b.*\s-e ", command) for command in kind.setup):
        return ()
    try:
        pyproject = tomllib.loads(_text(root / "pyproject.toml"))
    except tomllib.TOMLDecodeError:
        return ()
    system = pyproject.get("build-system", {})
    backend = system.get("build-backend", "setuptools") if isinstance(system, dict) else ""
    if "project" not in pyproject or not str(backend).startswith("setuptools") or (root / "src").is_dir():
        return ()
    tool = pyproject.get("tool")
    said = tool.get("setuptools") if isinstance(tool, dict) else None
    older = _text(root / "setup.py") + _text(root / "setup.cfg")
    if _LAYOUT_KEYS & set(said if isinstance(said, dict) else ()) or re.search(
        r"packages|py_modules|package_dir", older
    ):
        return ()
    packages = [f"{path.parent.name}*" for path in sorted(root.glob("[a-zA-Z]*/__init__.py"))]
    packages = [name for name in packages if name not in _NO_PACKAGES]
    if packages:
        return ("[tool.setuptools.packages.find]", f"include = {json.dumps(packages)}")
    modules = [path.stem for path in sorted(root.glob("[a-zA-Z]*.py")) if not _NO_MODULE.match(path.stem)]
    return ("[tool.setuptools]", f"py-modules = {json.dumps(modules)}")


_LAYOUT_KEYS = {"packages", "py-modules", "package-dir"}
_NO_PACKAGES = {"test*", "tests*", "docs*", "doc*", "examples*", "example*", "scripts*", "tools*", "benchmarks*"}
_NO_MODULE = re.compile(r"(?:setup|conftest|noxfile|toxfile|tasks|fabfile|manage|test|tests)$|test_")


def _text(path: Path) -> str:
    """The file's text, empty if there is none: a guess needs no more."""
    try:
        return path.read_text("utf-8", "replace") if path.is_file() else ""
    except OSError:
        return ""


def _has(root: Path, *names: str) -> bool:
    return any((root / name).exists() for name in names)


# ── one by one ───────────────────────────────────────────────────────────────────────────────────────────────────


def _python(root: Path) -> Kind | None:
    if not _has(root, "pyproject.toml", "setup.py", "setup.cfg", "tox.ini", "pytest.ini", "requirements.txt"):
        return _plain_python(root)
    for lock, setup, prefix in (
        ("uv.lock", "uv sync --quiet", "uv run "),
        ("poetry.lock", "poetry install --quiet", "poetry run "),
        ("pdm.lock", "pdm install --quiet", "pdm run "),
    ):
        if _has(root, lock):
            return Kind("Python", (setup,), (prefix + _python_test(root),))
    if _has(root, "tox.ini") and "[testenv" in _text(root / "tox.ini") and not _uses_pytest(root, "tox.ini"):
        return Kind("Python", (), ("tox -q",))
    install = ["python3 -m venv .venv", f".venv/bin/pip install -q {_python_packages(root)}"]
    return Kind("Python", (" && ".join(install),), (f".venv/bin/{_python_test(root)}",))


def _plain_python(root: Path) -> Kind | None:
    """Modules with tests beside them, and nothing to install."""
    tests = sorted([*root.glob("test_*.py"), *root.glob("tests/**/test_*.py")])[:50]
    if not tests:
        return None
    if _has(root, "conftest.py", "tests/conftest.py") or any("import pytest" in _text(path) for path in tests):
        return Kind("Python", (), ("python3 -m pytest -q",))
    is_package = _has(root, "tests/__init__.py") or not _has(root, "tests")
    return Kind("Python", (), ("python3 -m unittest -q" if is_package else "python3 -m unittest discover -q -s tests",))


def _python_test(root: Path) -> str:
    if _has(root, "manage.py") and not _uses_pytest(root):
        return "python manage.py test"
    return "python -m pytest -q" if _uses_pytest(root) else "python -m unittest"


def _uses_pytest(root: Path, *without: str) -> bool:
    if _has(root, "pytest.ini", "conftest.py", "tests/conftest.py"):
        return True
    names = {"pyproject.toml", "setup.cfg", "setup.py", "tox.ini", *_requirements(root)} - set(without)
    return any("pytest" in _text(root / name) for name in names)


def _requirements(root: Path) -> list[str]:
    return sorted(p.name for p in root.glob("*requirements*.txt") if p.is_file())


def _python_packages(root: Path) -> str:
    """What pip is to install: the project with its extra for tests, or the requirements; and pytest if nobody names it."""
    words = [f"-r {name}" for name in _requirements(root)]
    named = "".join(_text(root / name) for name in _requirements(root))
    try:
        project = tomllib.loads(_text(root / "pyproject.toml")).get("project")
    except tomllib.TOMLDecodeError:
        project = None
    if isinstance(project, dict):
        extras = project.get("optional-dependencies")
        extra = next((e for e in ("dev", "test", "tests", "testing") if isinstance(extras, dict) and e in extras), "")
        words.append(f"-e '.[{extra}]'" if extra else "-e .")
        named += json.dumps([project.get("dependencies"), extras.get(extra) if isinstance(extras, dict) else None])
    elif _has(root, "setup.py"):
        words.append("-e .")
    if _uses_pytest(root) and "pytest" not in named:
        words.append("pytest")
    return " ".join(words) or "pip"


def _node(root: Path) -> Kind | None:
    if not _has(root, "package.json"):
        return None
    try:
        package = json.loads(_text(root / "package.json"))
    except ValueError:
        package = {}
    package = package if isinstance(package, dict) else {}
    scripts = package.get("scripts")
    test = scripts.get("test", "") if isinstance(scripts, dict) else ""
    has_test = isinstance(test, str) and bool(test) and "no test specified" not in test
    manager, setup = _node_manager(root, str(package.get("packageManager", "")))
    run = "bun run test" if manager == "bun" else f"{manager} test"
    return Kind("Node", (setup,), (run,) if has_test else ())


def _node_manager(root: Path, declared: str) -> tuple[str, str]:
    """(program, what installs exactly the locked packages)."""
    if _has(root, "pnpm-lock.yaml") or declared.startswith("pnpm@"):
        return "pnpm", "pnpm install --frozen-lockfile"
    if _has(root, "yarn.lock") or declared.startswith("yarn@"):
        is_modern = _has(root, ".yarnrc.yml") or re.match(r"yarn@[2-9]", declared)
        return "yarn", "yarn install --immutable" if is_modern else "yarn install --frozen-lockfile"
    if _has(root, "bun.lock", "bun.lockb") or declared.startswith("bun@"):
        return "bun", "bun install --frozen-lockfile"
    return "npm", "npm ci" if _has(root, "package-lock.json", "npm-shrinkwrap.json") else "npm install"


def _ruby(root: Path) -> Kind | None:
    if not _has(root, "Gemfile"):
        return None
    setup = ["bundle install --quiet"]
    is_rails = _has(root, "bin/rails")
    if is_rails:
        setup.append("bin/rails db:test:prepare")
    if _has(root, ".rspec", "spec/spec_helper.rb") or "rspec" in _text(root / "Gemfile"):
        test = "bundle exec rspec"
    else:
        test = "bin/rails test" if is_rails else "bundle exec rake test"
    return Kind("Rails" if is_rails else "Ruby", tuple(setup), (test,))


def _rust(root: Path) -> Kind | None:
    return Kind("Rust", (), ("cargo test --quiet",)) if _has(root, "Cargo.toml") else None


def _go(root: Path) -> Kind | None:
    return Kind("Go", (), ("go test ./...",)) if _has(root, "go.mod") else None


def _gradle(root: Path) -> Kind | None:
    if not _has(root, "build.gradle", "build.gradle.kts", "settings.gradle", "settings.gradle.kts"):
        return None
    return Kind("Gradle", (), ("./gradlew --quiet test" if _has(root, "gradlew") else "gradle --quiet test",))


def _maven(root: Path) -> Kind | None:
    if not _has(root, "pom.xml"):
        return None
    return Kind("Maven", (), ("./mvnw -q test" if _has(root, "mvnw") else "mvn -q test",))


def _make(root: Path) -> Kind | None:
    text = "\n".join(_text(root / name) for name in ("GNUmakefile", "makefile", "Makefile"))
    for target in ("test", "check"):
        if re.search(rf"^{target}\s*:(?!=)", text, re.MULTILINE):
            return Kind("make", (), (f"make {target}",))
    return None
