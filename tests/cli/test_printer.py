"""One printer: which stream, which colours, which signs."""

from __future__ import annotations

import io
import json

import pytest

from orchestrate.cli.printer import Printer, build_printer, is_colored


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def printed(*, verbosity: int = 0, out: io.StringIO | None = None) -> tuple[Printer, io.StringIO, io.StringIO]:
    out, err = out or io.StringIO(), io.StringIO()
    return build_printer(out, err, environ={}, verbosity=verbosity), out, err


@pytest.mark.parametrize(
    ("wish", "environ", "terminal", "expected"),
    [
        ("auto", {}, True, True),
        ("auto", {}, False, False),
        ("auto", {"TERM": "dumb"}, True, False),
        ("auto", {"NO_COLOR": "1"}, True, False),
        ("auto", {"NO_COLOR": ""}, True, True),
        ("auto", {"NO_COLOR": "1", "FORCE_COLOR": "1"}, True, False),
        ("auto", {"FORCE_COLOR": "1"}, False, True),
        ("auto", {"FORCE_COLOR": "0"}, False, False),
        ("auto", {"CLICOLOR_FORCE": "1"}, False, True),
        ("always", {"NO_COLOR": "1"}, False, True),
        ("never", {"FORCE_COLOR": "1"}, True, False),
    ],
)
def test_colour(wish: str, environ: dict[str, str], terminal: bool, expected: bool) -> None:
    assert is_colored(wish, environ, is_terminal=terminal) is expected


def test_answers_and_narration_do_not_mix() -> None:
    printer, out, err = printed()
    printer.answer("the answer")
    printer.say("going on")
    printer.warn("careful", hint="look")
    printer.refuse("no", hint="yes")
    assert out.getvalue() == "the answer\n"
    assert err.getvalue() == "going on\nwarning: careful\n  hint: look\nerror: no\n  hint: yes\n"


@pytest.mark.parametrize(
    ("verbosity", "shown"),
    [
        (1, ["said", "detail", "warning: warned", "error: refused"]),
        (0, ["said", "warning: warned", "error: refused"]),
        (-1, ["warning: warned", "error: refused"]),
        (-2, ["error: refused"]),
    ],
)
def test_verbosity(verbosity: int, shown: list[str]) -> None:
    printer, out, err = printed(verbosity=verbosity)
    printer.say("said")
    printer.detail("detail")
    printer.warn("warned")
    printer.refuse("refused")
    printer.answer("answer")
    assert err.getvalue().splitlines() == shown
    assert out.getvalue() == "answer\n"


def test_paint_only_where_colours_are_shown() -> None:
    plain, _, _ = printed()
    colored, _, _ = printed(out=Terminal())
    assert plain.out.paint("x", "red") == "x"
    assert colored.out.paint("x", "red", "bold") == "\x1b[31;1mx\x1b[0m"
    assert colored.out.paint("", "red") == ""


def test_signs_become_ascii_one_for_one() -> None:
    out = io.StringIO()
    build_printer(out, None, environ={}, ascii_only=True).answer("✓ a → b … ✗ 日本")
    assert out.getvalue() == "+ a > b ~ x ??\n"


def test_a_terminal_that_does_not_speak_unicode_gets_ascii() -> None:
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding="ascii")
    printer = build_printer(out, None, environ={})
    printer.answer("✓ naïve")
    printer.document({"name": "naïve"})
    first, rest = raw.getvalue().split(b"\n", 1)
    assert first == b"+ na?ve"
    assert json.loads(rest) == {"name": "naïve"}


def test_lone_surrogates_end_no_command() -> None:
    raw = io.BytesIO()
    printer = build_printer(io.TextIOWrapper(raw, encoding="utf-8"), None, environ={})
    printer.answer("caf\udce9")
    printer.document({"file": "caf\udce9"})
    first, rest = raw.getvalue().split(b"\n", 1)
    assert first == b"caf\\udce9"
    assert json.loads(rest) == {"file": "caf\udce9"}


def test_closed_streams_swallow_what_is_said() -> None:
    printer = build_printer(None, None, environ={})
    printer.answer("into the void")
    printer.refuse("also")


@pytest.mark.parametrize(
    ("columns", "width"), [("132", 132), ("", 80), ("x", 80), ("0", 80), ("²", 80), ("9" * 99, 80)]
)
def test_width_without_a_terminal(columns: str, width: int) -> None:
    assert build_printer(io.StringIO(), None, environ={"COLUMNS": columns}).out.width == width
