"""Nothing hostile survives clean(); widths are what a terminal takes."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrate.views.text import clean, clean_block, clip, columns, display_width, pad, titled, wrapped
from tests.support.effort import ends


@pytest.mark.parametrize(
    ("hostile", "harmless"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b[2J\x1b[H\x1b[1;1Hx", "x"),
        ("a\x1b[1A\x1b[2K✔ PASSED", "a✔ PASSED"),
        ("\x1b]0;title\x07x", "x"),
        ("\x1b]52;c;cm0gLXJm\x1b\\x", "x"),
        ("\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1bP1$r0m\x1b\\x", "x"),
        ("\x1b_apc\x1b\\\x1b^pm\x1b\\\x1bXsos\x1b\\x", "x"),
        ("\x9b31mred\x9d0;t\x9cx", "redx"),
        ("\x90q\x9cx", "x"),
        ("\x1b(0lqk\x1b(B", "lqk"),
        ("\x1bcreset", "reset"),
        ("\x1b", ""),
        ("\x1b[", ""),
        ("\x1b\x1b[31m[31mx", "[31mx"),
        ("\x1b[31", ""),
        ("10%\r20%\r\n30%", "10% 20% 30%"),
        ("a\x00b\x08c\x07d\x7fe", "abcde"),
        ("user\u202etxt.exe", "usertxt.exe"),
        ("a\u2066b\u2069\u200e\u061cc", "abc"),
        ("z\u200be\u200dr\u2060o\ufeff", "zero"),
        ("tag\U000e0041\U000e007f\ufe00\U000e0100", "tag"),
        ("\ud800x\udfff", "\ufffdx\ufffd"),
        ("line\u2028two\u2029three\x85four", "line two three four"),
        ("  much \t space\n\nhere ", "much space here"),
        ("naïve — 日本語 ✓ ❤️", "naïve — 日本語 ✓ ❤️"),
    ],
)
def test_clean(hostile: str, harmless: str) -> None:
    assert clean(hostile) == harmless


def test_a_control_string_without_end_hides_no_other_line() -> None:
    assert clean_block("a\x1b]0;never ends\nshown\x1bPalso not\nshown too") == "a\nshown\nshown too"


def test_block_keeps_lines_and_indentation() -> None:
    assert clean_block("def f():\r\n\treturn\x1b[0m 1\rx") == "def f():\n        return 1\nx"


@given(st.text(alphabet=st.one_of(st.characters(), st.sampled_from("\x1b[]P\\\x07\x9b\x9c;m0\r\n\u202e\u200b\ud800"))))
def test_nothing_hostile_is_left(text: str) -> None:
    for shown in (clean(text), clean_block(text).replace("\n", "")):
        shown.encode()
        assert not [c for c in shown if unicodedata.category(c) in ("Cc", "Cs")]
        assert not set(shown) & set("\u061c\u200b\u200e\u200f\u202a\u202e\u2066\u2069\ufeff\U000e0041")
    assert clean(clean(text)) == clean(text)


@pytest.mark.parametrize("bomb", ["\x1bP", "\x1b]", "\x1b[", "\x1b[1;", "\x9b", "\x1b]\x1b", "\r", "\x1b(", "\x1bPq;"])
def test_cost_is_linear(bomb: str) -> None:
    """Takes well under a second; at a quadratic cost it would be hours."""
    with ends():
        assert "\x1b" not in clean(bomb * 300_000)


def test_widths() -> None:
    assert [display_width(t) for t in ("abc", "日本", "e\u0301", "❤\ufe0f", "")] == [3, 4, 1, 1, 0]
    assert clip("abcdef", 6) == "abcdef"
    assert clip("abcdef", 4) == "abc…"
    assert clip("日本語", 4) == "日…"
    assert clip("abcdef", 4, ellipsis="...") == "a..."
    assert clip("abcdef", 2, ellipsis="...") == ".."
    assert pad("日", 4) == "日  "
    assert pad("7", 3, right=True) == "  7"


def test_columns_line_up() -> None:
    assert columns([("a", "1", "x"), ("long", "200")], right=(1,)) == ["a       1  x", "long  200"]
    assert columns([]) == []


def test_wrapped_never_cuts_a_word() -> None:
    assert wrapped(["aa", "bb", "cccccccc", "d"], width=7, indent="> ") == ["> aa bb", "> cccccccc", "> d"]
    assert wrapped([], width=9, indent=" ") == []


def test_titled_hangs_under_itself() -> None:
    assert titled("key", "one two three", width=12, indent=5) == ["key  one two", "     three"]
    assert titled("key", "", width=12, indent=5) == ["key  "]
