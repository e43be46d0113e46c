"""`orchestrate ls`: the features of the list, or what a selection means. Needs no repository."""

from __future__ import annotations

from orchestrate.cli import options
from orchestrate.cli.context import Session
from orchestrate.errors import ExitCode


def ls(
    session: Session,
    config: options.ConfigOption = None,
    select: options.SelectOption = None,
    exclude: options.ExcludeOption = None,
    failed: options.FailedOption = False,
    as_json: options.JsonOption = False,
) -> ExitCode:
    """List features, one a line: id, wave, tags, name, what it needs.

    \b
      orchestrate ls
      orchestrate ls --select 'tag:core,wave:1'
      orchestrate ls --failed -q
    """
    from orchestrate.app.planning import Wishes, list_features

    wishes = Wishes(tuple(select or ()), tuple(exclude or ()), failed)
    listing = list_features(session.load(config), environ=session.environ, wishes=wishes)
    printer = session.printer
    if as_json:
        from orchestrate.views.plan import listing_document

        printer.document(listing_document(*listing))
    elif printer.verbosity < 0:
        printer.answer("\n".join(listing[1]))
    else:
        from orchestrate.views.plan import listing_lines

        printer.answer("\n".join(listing_lines(*listing, width=printer.out.width)))
    return ExitCode.DONE
