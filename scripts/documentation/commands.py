"""Every command with its own help, as the program prints it; what all commands share is shown once."""

from __future__ import annotations

from orchestrate.cli.app import COMMANDS, load_command

WIDTH = 100
"""Columns of the help as it is shown in the page."""

_SHARED = "Everywhere:"


def render_commands() -> str:
    """An index by section, the options that every command takes, then one part a command."""
    parts = ["| command | what it does |", "|---|---|"]
    parts += [f"| [`{name}`](#{name}) | {entry.summary} |" for name, entry in COMMANDS.items()]
    helps = {name: help_of(name) for name in COMMANDS}
    shared = {text.partition(_SHARED)[2] for text in helps.values()}
    if len(shared) != 1:
        raise ValueError("the commands differ in the options that all of them should take")
    parts += ["", "## Options of every command", "", "Before or after the command's name.", ""]
    parts += _block(shared.pop().strip("\n"))
    panel = ""
    for name, text in helps.items():
        if COMMANDS[name].panel != panel:
            panel = COMMANDS[name].panel
            parts += ["", f"## {panel}"]
        parts += ["", f"### {name}", "", *_block(text.partition(_SHARED)[0].strip("\n"))]
    return "\n".join(parts)


def help_of(name: str) -> str:
    """What `orchestrate NAME --help` prints, at WIDTH columns."""
    command = load_command(name)
    context = command.make_context(
        f"orchestrate {name}", [], resilient_parsing=True, terminal_width=WIDTH, max_content_width=WIDTH
    )
    return command.get_help(context)


def _block(text: str) -> list[str]:
    return ["```text", *(line.rstrip() for line in text.splitlines()), "```"]
