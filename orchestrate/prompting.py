"""Finds the template of a phase and renders a brief into it.

Invariant: the user's texts are inserted as they are, never read as templates; a template sees the fields of Brief and
nothing else; what comes out is bounded.
"""

from __future__ import annotations

from dataclasses import fields, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrate.core.brief import Brief, Needed
from orchestrate.errors import OrchestrateError

if TYPE_CHECKING:
    from jinja2 import Environment

LIMIT = 256 * 1024
"""Characters of one prompt."""
CONTEXT_LIMIT = 96 * 1024
FEEDBACK_LIMIT = 24 * 1024
SUMMARY_LIMIT = 2 * 1024
FAILURE_LIMIT = 4 * 1024
NEEDED_LIMIT = 200
"""Dependencies described in one prompt."""

FIELDS = frozenset(field.name for field in fields(Brief))


def render_prompt(brief: Brief, override: Path | None = None) -> str:
    """The prompt for this brief.

    override: a template of the user's instead of ours: a directory with `edit.md`, `rework.md`, `proceed.md` (those
    that are missing are ours), or one file, which stands for `edit.md`.
    Raises OrchestrateError when the template cannot be used or the prompt is too long.
    """
    import jinja2

    environment = _environment(override, _stamp(override))
    bounded = _bounded(brief)
    values = {name: getattr(bounded, name) for name in FIELDS}
    try:
        text = environment.get_template(f"{brief.phase}.md").render(values)
    except jinja2.TemplateSyntaxError as error:
        raise OrchestrateError(
            f"the prompt template {error.filename or brief.phase}, line {error.lineno}: {error.message}",
            hint="mend the template, or remove `prompts.template` from the settings",
        ) from error
    except jinja2.TemplateError as error:
        raise OrchestrateError(
            f"the prompt template for `{brief.phase}` cannot be filled in: {error.message}",
            hint=f"a template may use: {', '.join(sorted(FIELDS))}",
        ) from error
    text = text.strip() + "\n"
    if len(text) > LIMIT:
        raise OrchestrateError(
            f"the prompt for {brief.id} has {len(text):,} characters; at most {LIMIT:,} are allowed",
            hint="shorten the feature's prompt, and let it name files that the agent can read",
        )
    return text


def default_templates() -> Path:
    """Directory of our own templates: in the installed package, or beside it in a checkout."""
    package = Path(__file__).parent
    shipped = package / "_prompts"
    return shipped if shipped.is_dir() else package.parent / "prompts"


def _stamp(override: Path | None) -> float:
    """When the user's template last changed, so that an edit during a run is seen."""
    if override is None:
        return 0.0
    try:
        if override.is_dir():
            return max((p.stat().st_mtime for p in override.glob("*.md")), default=0.0)
        return override.stat().st_mtime
    except OSError as error:
        raise OrchestrateError(
            f"the prompt template {override} cannot be read: {error.strerror}",
            hint="correct `prompts.template` in the settings",
        ) from error


@lru_cache(maxsize=8)
def _environment(override: Path | None, stamp: float) -> Environment:  # noqa: ARG001 - part of the cache's key
    import jinja2
    from jinja2.sandbox import SandboxedEnvironment

    ours = jinja2.FileSystemLoader(default_templates())
    loader: jinja2.BaseLoader = ours
    if override is not None and override.is_dir():
        loader = jinja2.ChoiceLoader([jinja2.FileSystemLoader(override), ours])
    elif override is not None:
        try:
            text = override.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise OrchestrateError(
                f"the prompt template {override} cannot be read: {error}", hint="it must be a text file in UTF-8"
            ) from error
        loader = jinja2.ChoiceLoader([jinja2.DictLoader({"edit.md": text}), ours])
    return SandboxedEnvironment(
        loader=loader,
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # the reader is a model, not a browser
        keep_trailing_newline=True,
        auto_reload=False,
    )


def _bounded(brief: Brief) -> Brief:
    """The same brief with its long parts cut; the user's own prompt is never cut."""
    dependencies = tuple(
        Needed(n.id, n.name, n.creates, _head(n.summary, SUMMARY_LIMIT)) for n in brief.dependencies[:NEEDED_LIMIT]
    )
    return replace(
        brief,
        context=_head(brief.context, CONTEXT_LIMIT),
        feedback=_head(brief.feedback, FEEDBACK_LIMIT),
        earlier_failure=_head(brief.earlier_failure, FAILURE_LIMIT),
        dependencies=dependencies,
    )


def _head(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[:limit]}\n[… {len(text) - limit:,} more characters were left out]"
