"""What a run leaves on the screen: every feature, the branch, what went wrong, what to type next, where the report lies."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from orchestrate.cli.printer import Printer, Stream
from orchestrate.cli.spans import render_toned, show_lines
from orchestrate.views.live import LiveTable
from orchestrate.views.rows import Tone
from orchestrate.views.run import RunView
from orchestrate.views.summary import facts, headline, next_steps, troubles, worktrees_at_work
from orchestrate.views.text import clean, titled, wrapped

MOST_ROWS = 60
"""Features that are listed one by one; of more only the telling ones are."""
MOST_WARNINGS = 8
_TONES: dict[str, Tone] = {"done": "good", "running": "strong", "limit": "caution", "interrupted": "caution"}


def show_receipt(
    printer: Printer,
    view: RunView,
    *,
    now: float,
    is_driven: bool = False,
    report: str = "",
    told: Sequence[tuple[str, str]] = (),
    named: bool = False,
) -> None:
    """On stdout: it is the answer of `run` and `status`. report: path of the report, if there is one. told: more facts, as
    (name, words). named: what to type next says which run, as it is not the newest."""
    out = printer.out
    tone: Tone = "caution" if _is_broken(view, is_driven) else _TONES.get(view.status, "bad")
    words = clean(headline(view, now, is_driven=is_driven)).split(" ")
    for line in wrapped(words, width=out.width, indent="") if out.is_terminal else [" ".join(words)]:
        out.line(render_toned(out, line, tone))
    out.line()
    show_lines(out, LiveTable(view, ascii_only=out.ascii_only, is_driven=is_driven).rows(now, out.width, MOST_ROWS))
    out.line()
    for fid, word, why in troubles(view):
        _show_under(out, "✗", "red", f"{fid} {_because(word, clean(why))}")
    warnings = view.open_warnings
    if len(warnings) > MOST_WARNINGS:
        _show_under(out, "!", "yellow", f"{len(warnings) - MOST_WARNINGS} older warnings are in the report")
    for warning in warnings[-MOST_WARNINGS:]:
        about = f"{warning.feature}: " if warning.feature else ""
        _show_under(out, "!", "yellow", f"{about}{clean(warning.message)}")
    gone = {path for path in worktrees_at_work(view) if not Path(path).is_dir()}
    known = [*told, *facts(view, now, is_driven=is_driven, gone=gone)]
    known += [("branch", f"{view.integration_branch} at {view.tip[:10]}")] if view.count("integrated") else []
    known += [("report", report)] if report else []
    known += [("next", step.command) for step in next_steps(view, is_driven=is_driven, named=named)]
    shown = ""
    for name, value in known:
        title, text = (name if name != shown else "").ljust(8), clean(value)
        is_wrapped = out.is_terminal and name != "next"  # what is to be pasted stays one line
        whole = titled(title, text, width=out.width, indent=8) if is_wrapped else [title + text]
        out.line(out.paint(title, "dim") + whole[0][len(title) :])
        for line in whole[1:]:
            out.line(line)
        shown = name


def _because(word: str, why: str) -> str:
    """`failed: check tests failed`; a reason that says the word itself stands alone (`cancelled by anna@laptop`)."""
    return why if why.startswith(f"{word} ") else f"{word}: {why}" if why else word


def _show_under(out: Stream, sign: str, colour: str, text: str) -> None:
    """A line led by a sign; on a terminal that is too narrow it goes on below itself. Elsewhere a line stays one line."""
    first, *others = titled(sign, text, width=out.width, indent=2) if out.is_terminal else [f"{sign} {text}"]
    out.line(out.paint(sign, colour) + first.removeprefix(sign))
    for line in others:
        out.line(line)


def _is_broken(view: RunView, is_driven: bool) -> bool:
    return view.status == "running" and not is_driven
