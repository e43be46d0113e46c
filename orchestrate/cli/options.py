"""Options that several commands share: one spelling, one help text, one way to refuse a bad value."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

import typer

from orchestrate.cli import complete

EVERYWHERE = "Everywhere"
"""Section of the help for the options that every command takes."""


def whole_number(least: int, most: int) -> Callable[[str], int]:
    """Parser for a number on the command line that refuses in plain words."""

    def parse(text: str) -> int:
        plain = str(text).strip()
        digits = plain.removeprefix("-")
        if not (digits.isdecimal() and digits.isascii()):
            raise typer.BadParameter(f"expected a whole number, got {plain!r}")
        if len(digits) > 12 or not least <= int(plain) <= most:
            raise typer.BadParameter(f"expected a whole number from {least} to {most}, got {plain}")
        return int(plain)

    return parse


# ── what is read ─────────────────────────────────────────────────────────────────────────────────────────────────

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", "-c", metavar="PATH", help="Feature list. [default: config/feature_list.json]"),
]

# ── which features ───────────────────────────────────────────────────────────────────────────────────────────────

SelectOption = Annotated[
    list[str] | None,
    typer.Option(
        "--select",
        "-s",
        metavar="TERMS",
        help="Only these: api  api+  +api  2+api  @api  tag:core  wave:2  'api-*'  'a b' (either)  a,b (both).",
        autocompletion=complete.selections,
    ),
]
ExcludeOption = Annotated[
    list[str] | None,
    typer.Option(
        "--exclude", "-x", metavar="TERMS", help="All but these; same words.", autocompletion=complete.selections
    ),
]
FailedOption = Annotated[bool, typer.Option("--failed", help="Only what the last run did not integrate.")]

RUN_HELP = "Id of a run, or its beginning, or @2 for the last but one."

FeatureArgument = Annotated[
    str, typer.Argument(metavar="FEATURE", help="Id of a feature.", autocompletion=complete.features)
]
FeatureOrRunArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="FEATURE[@N]",
        help="A feature, or one attempt at it. [default: the story of the whole run]",
        autocompletion=complete.features,
        show_default=False,
    ),
]
RunArgument = Annotated[
    str | None,
    typer.Argument(metavar="RUN", help=f"{RUN_HELP} [default: the newest]", autocompletion=complete.runs),
]
RunOption = Annotated[
    str | None,
    typer.Option(
        "--run",
        metavar="RUN",
        help=f"{RUN_HELP} [default: the newest]",
        autocompletion=complete.runs,
    ),
]

SteeredRunArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="RUN",
        help=f"{RUN_HELP} [default: the one that goes on, else the newest unfinished one]",
        autocompletion=complete.runs,
    ),
]
SteeredRunOption = Annotated[
    str | None,
    typer.Option(
        "--run",
        metavar="RUN",
        help=f"{RUN_HELP} [default: the one that goes on, else the newest]",
        autocompletion=complete.runs,
    ),
]

# ── settings for this once ───────────────────────────────────────────────────────────────────────────────────────

JobsOption = Annotated[
    int | None,
    typer.Option("--jobs", "-j", metavar="N", parser=whole_number(1, 256), help="Agents at work at the same time."),
]
BaseOption = Annotated[
    str | None, typer.Option("--base", metavar="BRANCH", help="Branch or commit to start from. [setting: base_branch]")
]
StartOnOption = Annotated[
    Literal["verified", "integrated"] | None,
    typer.Option("--start-on", help="When a dependent may start. [setting: start_on]"),
]
ScheduleOption = Annotated[
    Literal["ready", "waves"] | None,
    typer.Option("--schedule", help="As soon as ready, or wave after wave. [setting: schedule]"),
]
SequentialOption = Annotated[bool, typer.Option("--sequential", help="One at a time; the same as -j 1.")]
AgentOption = Annotated[
    str | None, typer.Option("--agent", metavar="NAME", help="claude or scripted. [setting: agent]")
]
ModelOption = Annotated[str | None, typer.Option("--model", metavar="NAME", help="[setting: model]")]

MaxCostOption = Annotated[
    float | None,
    typer.Option("--max-cost", metavar="USD", help="Most that the run may cost. [setting: limits.max_cost_usd]"),
]

# ── how it answers ───────────────────────────────────────────────────────────────────────────────────────────────

JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout, and nothing else.")]
EventsOption = Annotated[bool, typer.Option("--json", help="Print events as JSON lines, the last one the result.")]
ProgressOption = Annotated[
    Literal["auto", "live", "plain", "json", "none"], typer.Option("--progress", help="How to show what happens.")
]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]

# ── everywhere ───────────────────────────────────────────────────────────────────────────────────────────────────

DirectoryOption = Annotated[
    Path | None,
    typer.Option("--directory", "-C", metavar="DIR", help="Work as if started there.", rich_help_panel=EVERYWHERE),
]
ColorOption = Annotated[
    Literal["auto", "always", "never"] | None,
    typer.Option("--color", help="[default: auto]", rich_help_panel=EVERYWHERE),
]
AsciiOption = Annotated[bool, typer.Option("--ascii", help="Draw with ASCII only.", rich_help_panel=EVERYWHERE)]
QuietOption = Annotated[
    int,
    typer.Option(
        "--quiet", "-q", count=True, show_default=False, help="Less (-qq: errors only).", rich_help_panel=EVERYWHERE
    ),
]
VerboseOption = Annotated[
    int, typer.Option("--verbose", "-v", count=True, show_default=False, help="More.", rich_help_panel=EVERYWHERE)
]
NoInputOption = Annotated[
    bool, typer.Option("--no-input", help="Never ask; refuse instead.", rich_help_panel=EVERYWHERE)
]
DebugOption = Annotated[
    bool, typer.Option("--debug", help="Show the traceback of a defect.", rich_help_panel=EVERYWHERE)
]
