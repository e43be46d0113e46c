"""`orchestrate init`: a first feature list that fits this repository, with prompts. Never overwrites."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrate.cli.context import Session
from orchestrate.cli.kinds import Kind, kind_of, layout_lines, private_files
from orchestrate.errors import ExitCode, OrchestrateError

if TYPE_CHECKING:
    from orchestrate.git.repository import Repository

LIST = "config/feature_list.json"


def init(
    session: Session,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="For scripts; init asks nothing anyway.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", "-n", help="Print what would be written.")] = False,
) -> ExitCode:
    """Write config/feature_list.json and two prompts, fitted to this repository. Never overwrites a file.

    \b
      orchestrate init
      orchestrate init --dry-run
    """
    del yes
    from orchestrate.git.repository import default_branch, open_repository
    from orchestrate.spec.finding import lists_in

    repository = open_repository(session.start, environ=session.environ)
    root = repository.toplevel
    printer = session.printer
    existing = lists_in(root)
    if existing:
        printer.answer(f"left alone: {existing[0].relative_to(root)} (there is a feature list already)")
        printer.say("\nnext: orchestrate plan")
        return ExitCode.DONE
    kind = kind_of(root)
    files = build_files(root.name, kind, base_branch=default_branch(repository), copied=private_files(root))
    for name, text in files.items():
        if dry_run:
            printer.answer(f"── {name}\n{text}")
        elif write_new(root / name, text):
            printer.answer(f"wrote       {name}")
        else:
            printer.answer(f"left alone: {name} (it is there already)")
    if dry_run:
        return ExitCode.DONE
    printer.say("")
    for line in [*_found(kind), *_advice(root, kind, repository), "", _NEXT]:
        printer.say(line)
    return ExitCode.DONE


_NEXT = "next: describe your features there, then orchestrate plan"


def _found(kind: Kind) -> list[str]:
    if kind.verify:
        return [f"This looks like {kind.name}; every feature will have to pass: {' && '.join(kind.verify)}"]
    return ["No test command was found: put the one that tells good from bad into verify."]


def _advice(root: Path, kind: Kind, repository: Repository) -> list[str]:
    """What to see to before the first run."""
    from orchestrate.app.notices import setup_notices

    advice = [f"note: {notice}" for notice in (*repository.notices, *setup_notices(repository, kind.setup))]
    if lines := layout_lines(root, kind):
        advice.append("note: setuptools would take config/ and prompts/ for packages; add to pyproject.toml:")
        advice += [f"    {line}" for line in lines]
    return advice


def write_new(path: Path, text: str) -> bool:
    """Create the file; False if there is one. Raises OrchestrateError when it cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as f:
            f.write(text)
    except FileExistsError:
        if path.parent.is_dir():
            return False
        raise OrchestrateError(f"{path.parent} is not a directory", hint="move it out of the way") from None
    except OSError as failed:
        raise OrchestrateError(f"cannot write {path}: {failed.strerror}") from failed
    return True


# ── what is written ──────────────────────────────────────────────────────────────────────────────────────────────


def build_files(name: str, kind: Kind, *, base_branch: str, copied: tuple[str, ...]) -> dict[str, str]:
    """Path below the repository → text."""
    return {
        LIST: _feature_list(name, kind, base_branch, copied),
        "prompts/_context.md": _context(name, kind),
        "prompts/greeting.md": _GREETING,
        "prompts/greeting-docs.md": _GREETING_DOCS,
    }


def _feature_list(name: str, kind: Kind, base_branch: str, copied: tuple[str, ...]) -> str:
    allowed = [f"Bash({command}:*)" for command in kind.verify]
    verify = (
        "// Every command must pass: on the feature's own branch, and again on the merged tree."
        if kind.verify
        else '// No test command was found. Name the one that must pass, or nothing is tested: ["make test"]'
    )
    return f"""\
// The features that orchestrate builds, each in a worktree of its own, into one green branch.
// Comments and trailing commas are allowed. `orchestrate plan` shows what would run;
// `orchestrate schema features` describes every key.
{{
  "project": {{
    "name": {_json(name)},
    // Where every run starts from. Your own branches are never changed.
    "base_branch": {_json(base_branch or "main")},
    // Agents at work at the same time.
    "max_parallel": 3,
    // Wall clock for one attempt at a feature.
    "timeout_seconds": 1800,
  }},

  // Run in every new worktree, before the agent starts.
  "setup": {_json(list(kind.setup))},
  {verify}
  "verify": {_json(list(kind.verify))},
  // Files that git ignores and a worktree needs.
  "copy": {_json(list(copied))},

  "prompts": {{
    // Told to every agent, before its own feature.
    "context_file": "prompts/_context.md",
    "quality_rules": [
      "Every change comes with a test that fails without it.",
      "Touch only what the feature needs.",
    ],
  }},

  "claude": {{
    "permission_mode": "acceptEdits",
    // What the agent may do without asking; there is nobody to ask.
    "allowed_tools": {_json(allowed)},
  }},

  "limits": {{
    // US dollars for the whole run; remove the line for no limit.
    "max_cost_usd": 20,
  }},

  // Two features to begin with: replace them by your own.
  "features": [
    {{
      "id": "greeting",
      "name": "Say hello",
      "prompt_file": "prompts/greeting.md",
      "tags": ["example"],
      "estimated_tokens": 20000,
    }},
    {{
      "id": "greeting-docs",
      "name": "Describe the greeting",
      // It starts from the code of what it depends on.
      "depends_on": ["greeting"],
      "prompt_file": "prompts/greeting-docs.md",
      "tags": ["example", "docs"],
      "estimated_tokens": 10000,
    }},
  ],
}}
"""


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _context(name: str, kind: Kind) -> str:
    tested = f"The tests are run with `{' && '.join(kind.verify)}`." if kind.verify else ""
    made = f"{name} is a {kind.name} project." if kind.name else f"This is {name}."
    return f"""\
# {name}

{made} {tested}

Replace this text by what a new colleague must know: what the program is for, how it is laid out,
which conventions hold, what must not be touched.
"""


_GREETING = """\
Add a function that returns a greeting for a name: `Hello, Ada!` for `Ada`, `Hello!` for no name.

Put it where code of this kind belongs in this project, in its language and style.
Add tests for a name, for no name, and for a name with spaces around it.
"""

_GREETING_DOCS = """\
Describe the greeting function in the README: what it returns, with one example that was tried out.
"""
