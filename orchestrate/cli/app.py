"""The table of commands, and a command group that imports only the one that is called.

Invariant: `orchestrate --help` imports no command; every command lives in the module of its entry, as a function of
the command's name that takes a Session first and its own options after it.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperCommand, TyperGroup

from orchestrate.cli import options
from orchestrate.cli.context import Given, Session, build_session, environment
from orchestrate.errors import ExitCode

if TYPE_CHECKING:
    from typer._click import Command, Context, HelpFormatter, Parameter


PIPE_CLOSED = 141
"""What a shell reports for a program that SIGPIPE ended: the reader has left, and there is nobody to tell."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One command: its section in the help and what it does, in one line."""

    panel: str
    summary: str


RUN, STEER, WATCH, AFTER, SETUP = "Plan & run", "Steer", "Watch", "After", "Set-up"

COMMANDS = {
    "plan": Entry(RUN, "Show what would run: waves, branches, estimates."),
    "ls": Entry(RUN, "List features; see what a selection means."),
    "run": Entry(RUN, "Run the plan: agents at work, checks, one green branch."),
    "demo": Entry(RUN, "Watch a whole run in a throw-away repository."),
    "pause": Entry(STEER, "Start nothing new until `resume`."),
    "resume": Entry(STEER, "Go on with a run: paused, cut off or stopped."),
    "stop": Entry(STEER, "Finish what runs, then end."),
    "cancel": Entry(STEER, "Give features up, or the whole run."),
    "retry": Entry(STEER, "Try again what was not integrated."),
    "answer": Entry(STEER, "Tell a feature's agent something."),
    "status": Entry(WATCH, "Where a run stands."),
    "logs": Entry(WATCH, "What happened in a run; what an agent did."),
    "diff": Entry(WATCH, "What a feature changed."),
    "report": Entry(AFTER, "The outcome of a run, with every attempt."),
    "history": Entry(AFTER, "All runs of this repository."),
    "recover": Entry(AFTER, "Bring back work that was not integrated."),
    "cleanup": Entry(AFTER, "Remove worktrees and branches that are kept elsewhere."),
    "init": Entry(SETUP, "Write a first feature list that fits this repository."),
    "doctor": Entry(SETUP, "Check what this machine and repository offer."),
    "agents": Entry(SETUP, "List the agents, and whether they are ready."),
    "config": Entry(SETUP, "Show the settings, and where each comes from."),
    "schema": Entry(SETUP, "Print the JSON Schema of a file."),
    "completion": Entry(SETUP, "Print the completion script of a shell."),
}

EPILOGUE = "orchestrate COMMAND --help tells more. Exit codes: 0 done, 1 incomplete, 2 refused, 3 limit, 70 bug."


@dataclass(slots=True)
class Invocation:
    """What one command line has come to: filled from the outside in. given: the options before the command's name."""

    given: Given = field(default_factory=Given)
    session: Session | None = None


# ── one command ──────────────────────────────────────────────────────────────────────────────────────────────────


class PlainCommand(TyperCommand):
    """A command whose help keeps its own options apart from those of every command, and spells arguments as manuals do."""

    def collect_usage_pieces(self, ctx: Context) -> list[str]:
        return ["[OPTIONS]", *(_usage(param) for param in self.get_params(ctx) if param.param_type_name == "argument")]

    def format_options(self, ctx: Context, formatter: HelpFormatter) -> None:
        _write_options(self, ctx, formatter)


def _usage(argument: Parameter) -> str:
    """`FEATURE`, `[FEATURE]` where it may be left out, with dots where there may be several."""
    word = _word(argument)
    return (word if argument.required else f"[{word}]") + ("..." if argument.nargs == -1 else "")


def _word(argument: Parameter) -> str:
    return argument.metavar or str(argument.name)


def _write_options(command: Command, ctx: Context, formatter: HelpFormatter) -> None:
    sections: dict[str, list[tuple[str, str]]] = {"Arguments": [], "Options": [], options.EVERYWHERE: []}
    for param in command.get_params(ctx):
        record = param.get_help_record(ctx)
        if record is None:
            continue
        if param.param_type_name == "argument":
            name, words = record
            sections["Arguments"].append((_word(param) if param.metavar else name, words))
        else:
            everywhere = param.name == "help" or getattr(param, "rich_help_panel", None) == options.EVERYWHERE
            sections[options.EVERYWHERE if everywhere else "Options"].append(record)
    for title, records in sections.items():
        if records:
            with formatter.section(title):
                formatter.write_dl(records)


def _everywhere() -> list[inspect.Parameter]:
    """The fields of Given, as parameters that Typer understands."""
    annotations: dict[str, Any] = {
        "directory": options.DirectoryOption,
        "color": options.ColorOption,
        "ascii_only": options.AsciiOption,
        "quiet": options.QuietOption,
        "verbose": options.VerboseOption,
        "no_input": options.NoInputOption,
        "debug": options.DebugOption,
    }
    keyword = inspect.Parameter.KEYWORD_ONLY
    return [
        inspect.Parameter(f.name, keyword, default=f.default, annotation=annotations[f.name]) for f in fields(Given)
    ]


def bound(command: Callable[..., ExitCode | None]) -> Callable[..., int]:
    """The command as Typer calls it: the options of every command are added, and made into its Session."""
    own = list(inspect.signature(command, eval_str=True).parameters.values())[1:]

    def call(ctx: typer.Context, **values: Any) -> int:
        said = Given(**{f.name: values.pop(f.name) for f in fields(Given)})
        invocation = ctx.ensure_object(Invocation)
        invocation.given = invocation.given.merged(said)
        invocation.session = build_session(invocation.given, environment())
        try:
            return int(command(invocation.session, **values) or ExitCode.DONE)
        except BrokenPipeError:
            return PIPE_CLOSED  # before Typer makes a 1 of it

    first = inspect.Parameter("ctx", inspect.Parameter.POSITIONAL_ONLY, annotation=typer.Context)
    keywords = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own]
    call.__signature__ = inspect.Signature([first, *keywords, *_everywhere()])  # type: ignore[attr-defined]
    call.__annotations__ = {p.name: p.annotation for p in [first, *keywords, *_everywhere()]}
    call.__doc__ = command.__doc__
    return call


def load_command(name: str) -> Command:
    """Import the one module and make its function a command."""
    module = importlib.import_module(f"orchestrate.cli.{name}")
    single = typer.Typer(add_completion=False, rich_markup_mode=None)
    single.command(name, cls=PlainCommand)(bound(getattr(module, name)))
    return typer.main.get_command(single)


# ── the group ────────────────────────────────────────────────────────────────────────────────────────────────────


class LazyGroup(TyperGroup):
    """Lists commands from the table; imports the one that is called."""

    def list_commands(self, ctx: Context) -> list[str]:  # noqa: ARG002 - as Typer calls it
        return list(COMMANDS)

    def get_command(self, ctx: Context, cmd_name: str) -> Command | None:  # noqa: ARG002 - as Typer calls it
        if cmd_name not in COMMANDS:
            return None
        if cmd_name not in self.commands:
            # Enough for a listing, a completion and "did you mean".
            self.commands[cmd_name] = TyperCommand(
                name=cmd_name, help=COMMANDS[cmd_name].summary, params=[], callback=lambda: None
            )
        return self.commands[cmd_name]

    def _click_resolve_command(self, ctx: Context, args: list[str]) -> tuple[str | None, Command | None, list[str]]:
        if args and args[0] in COMMANDS:
            self.commands[args[0]] = load_command(args[0])
        else:
            for name in COMMANDS:
                self.get_command(ctx, name)
        return super()._click_resolve_command(ctx, args)

    def format_options(self, ctx: Context, formatter: HelpFormatter) -> None:
        width = max(map(len, COMMANDS))  # the sections line up with one another
        for panel in dict.fromkeys(entry.panel for entry in COMMANDS.values()):
            rows = [(name.ljust(width), entry.summary) for name, entry in COMMANDS.items() if entry.panel == panel]
            with formatter.section(panel):
                formatter.write_dl(rows)
        _write_options(self, ctx, formatter)


app = typer.Typer(
    cls=LazyGroup, add_completion=False, rich_markup_mode=None, invoke_without_command=True, epilog=EPILOGUE
)


@app.callback()
def orchestrate(
    ctx: typer.Context,
    directory: options.DirectoryOption = None,
    color: options.ColorOption = None,
    ascii_only: options.AsciiOption = False,
    quiet: options.QuietOption = 0,
    verbose: options.VerboseOption = 0,
    no_input: options.NoInputOption = False,
    debug: options.DebugOption = False,
    version: bool = typer.Option(
        False, "--version", "-V", help="Print the version.", rich_help_panel=options.EVERYWHERE
    ),
) -> int:
    """A list of features with dependencies becomes one green branch.

    \b
      orchestrate demo                     see it work, without an account
      orchestrate init                     write config/feature_list.json
      orchestrate plan                     what would run, in what order
      orchestrate run --yes                run it
      orchestrate run --select +api --yes  one feature, with what it needs
      orchestrate status                   where it stands
      orchestrate resume                   go on with it, whatever ended it
    """
    invocation = ctx.ensure_object(Invocation)
    invocation.given = Given(directory, color, ascii_only, quiet, verbose, no_input, debug)
    if version:
        from orchestrate import __version__

        build_session(invocation.given, environment()).printer.answer(f"orchestrate {__version__}")
        raise typer.Exit
    if ctx.invoked_subcommand is not None:
        return 0
    from orchestrate.cli.home import home

    invocation.session = build_session(invocation.given, environment())
    return int(home(invocation.session))


COMPLETE_VARIABLE = "_ORCHESTRATE_COMPLETE"
"""Set by the script of `orchestrate completion` when TAB is pressed."""


def run_typer(arguments: Sequence[str], invocation: Invocation) -> int:
    """Parse, import the command, call it. Raises what the command raises, and TyperException for bad usage."""
    if COMPLETE_VARIABLE in environment():
        from typer._completion_classes import completion_init

        completion_init()  # Typer does this itself only with its own --install-completion
    value = app(
        list(arguments),
        prog_name="orchestrate",
        complete_var=COMPLETE_VARIABLE,
        standalone_mode=False,
        obj=invocation,
    )
    return int(value or 0)
