"""Which paths a feature may change: the patterns of .gitignore, without negation."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrate.core.scope import is_in_scope, out_of_scope


@pytest.mark.parametrize(
    ("pattern", "inside", "outside"),
    [
        ("README.md", ["README.md", "docs/README.md", "README.md/x"], ["README.mdx", "aREADME.md"]),
        ("/README.md", ["README.md"], ["docs/README.md"]),
        ("./src/a.py", ["src/a.py"], ["lib/src/a.py", "src/b.py"]),
        ("src", ["src", "src/a", "lib/src/a/b"], ["srcs/a"]),
        ("src/", ["src/a", "lib/src/a/b"], ["src", "lib/src"]),
        ("src/*.py", ["src/a.py", "src/.py"], ["src/a/b.py", "src/a.pyc"]),
        ("src/**", ["src/a", "src/a/b"], ["src", "lib/src/a"]),
        ("**/test_*.py", ["test_a.py", "a/b/test_b.py"], ["a/tests.py"]),
        ("a/**/z", ["a/z", "a/b/z", "a/b/c/z/y"], ["a/bz", "z"]),
        ("?.py", ["a.py", "d/b.py"], ["ab.py", "/.py"]),
        ("[ab].py", ["a.py", "b.py"], ["c.py"]),
        ("[!ab].py", ["c.py"], ["a.py", "x/.py"]),
        ("[^ab].py", ["c.py"], ["a.py"]),
        ("[z-a].py", [], ["a.py", "z.py"]),
        ("[a.py", ["[a.py"], ["a.py"]),
        ("[].py", ["[].py"], [".py"]),
        (r"\*.py", ["*.py"], ["a.py"]),
        ("a\\", ["a\\"], ["a"]),
        ("a**b", ["ab", "axxb"], ["a/b"]),
        (".", ["a", "b/c"], []),
        ("./", ["a", "b/c"], []),
        ("a+b(c).py", ["a+b(c).py"], ["aab(c).py"]),
    ],
)
def test_a_pattern(pattern: str, inside: list[str], outside: list[str]) -> None:
    assert [path for path in inside if not is_in_scope(path, (pattern,))] == []
    assert [path for path in outside if is_in_scope(path, (pattern,))] == []


def test_without_a_pattern_everything_may_be_touched() -> None:
    assert out_of_scope(["a", "b/c"], ()) == ()


def test_any_pattern_will_do_and_the_order_of_paths_stays() -> None:
    assert out_of_scope(["z.md", "src/a.py", "b.txt"], ("src/**", "*.txt")) == ("z.md",)
    assert out_of_scope(["z.md", "a.md"], ("src/**",)) == ("z.md", "a.md")


@given(
    st.text(st.sampled_from("ab/*?[]!^-\\.{(+$"), max_size=12),
    st.text(st.sampled_from("ab/.-"), min_size=1, max_size=10),
)
def test_no_pattern_is_a_defect(pattern: str, path: str) -> None:
    assert out_of_scope([path], (pattern,)) in ((), (path,))


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="/"), min_size=1), min_size=1, max_size=4))
def test_a_path_that_is_escaped_covers_itself(names: list[str]) -> None:
    path = "/".join(names)
    escaped = re.sub(r"([\\*?\[\]])", r"\\\1", path)
    if path.rstrip("/") not in ("", "."):
        assert is_in_scope(path, ("/" + escaped,))
