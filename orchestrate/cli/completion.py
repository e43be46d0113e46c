"""`orchestrate completion`: the script that makes TAB work in a shell."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from orchestrate.cli.app import COMPLETE_VARIABLE
from orchestrate.cli.context import Session
from orchestrate.errors import ExitCode


def completion(
    session: Session, shell: Annotated[Literal["bash", "zsh", "fish"], typer.Argument(help="Which shell.")]
) -> ExitCode:
    """Print the completion script of a shell: commands, options, ids of features and runs, tags.

    \b
      eval "$(orchestrate completion bash)"      in ~/.bashrc
      eval "$(orchestrate completion zsh)"       in ~/.zshrc, after compinit
      orchestrate completion fish | source       in ~/.config/fish/config.fish
    """
    from typer._completion_shared import get_completion_script

    session.printer.answer(get_completion_script(prog_name="orchestrate", complete_var=COMPLETE_VARIABLE, shell=shell))
    return ExitCode.DONE
