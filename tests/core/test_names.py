"""Ids become names and names become ids again; what git, a shell or a disk would trip over is no id."""

from __future__ import annotations

import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from orchestrate.core import names
from orchestrate.core.names import AttemptKey

RUN = names.render_run_id(2026, 1, 2, 3, 4, 5, "beef")
ids = st.from_regex(names.ID_PATTERN, fullmatch=True).filter(lambda fid: not names.id_problem(fid))
runs = st.builds(
    lambda when, noise: names.render_run_id(
        when.year, when.month, when.day, when.hour, when.minute, when.second, f"{noise:04x}"
    ),
    st.datetimes(),
    st.integers(0, 0xFFFF),
)
keys = st.builds(AttemptKey, runs, ids, st.integers(1, 10**6))


@pytest.mark.parametrize("fid", ["a", "A1", "user-login", "v1.2_x", "0", "a" * 63, "x.y.z", "lock", "heads", "com10"])
def test_an_id(fid: str) -> None:
    assert names.id_problem(fid) == ""


@pytest.mark.parametrize(
    ("fid", "problem"),
    [
        ("", "is empty"),
        ("a" * 64, "has 64 characters; at most 63 are allowed"),
        ("a b", "contains U+0020 (SPACE)"),
        ("$(id)", "contains '$', '(', ')'"),
        ("a/b", "contains '/'"),
        ("a\u202eb", "contains U+202E (RIGHT-TO-LEFT OVERRIDE)"),
        ("a\x07b", "contains U+0007 (control)"),
        ("é", "contains 'é'"),
        ("-D", "must start and end with a letter or digit, without two dots in a row"),
        ("a..b", "must start and end with a letter or digit, without two dots in a row"),
        ("a.", "must start and end with a letter or digit, without two dots in a row"),
        ("a\n", "contains U+000A (control)"),
        ("x.Lock", "ends with .lock, which git reserves"),
        ("HEAD", "is a reserved word"),
        ("integration", "is a reserved word"),
        ("aux.c", "is a reserved word"),
        ("COM1", "is a reserved word"),
    ],
)
def test_no_id(fid: str, problem: str) -> None:
    assert names.id_problem(fid) == problem


def test_ids_that_are_one_file_on_some_disks_fold_together() -> None:
    assert names.fold_id("User-Login") == names.fold_id("user-login")
    assert names.fold_id("e\u0301") == names.fold_id("É")
    assert names.fold_id("a") != names.fold_id("b")


def test_a_run_id_reads_and_sorts_as_its_time() -> None:
    assert RUN == "20260102-030405-beef"
    later = names.render_run_id(2026, 1, 2, 3, 4, 6, "0000")
    assert sorted([later, RUN]) == [RUN, later]


@given(keys)
def test_keys_and_branches_come_back(key: AttemptKey) -> None:
    assert names.parse_attempt_key(str(key)) == key
    assert names.parse_attempt_key(f" {key}\n") == key
    for prefix in ("orch", "team/bots"):
        assert names.parse_attempt_branch(names.attempt_branch(key, prefix), prefix) == key


@given(keys, keys)
def test_no_two_attempts_share_a_name_and_none_lies_inside_another(one: AttemptKey, other: AttemptKey) -> None:
    assume(one != other)
    for name in (names.attempt_branch, names.checkpoint_ref, names.worktree_dir, str):
        assert name(one) != name(other)
        assert not name(other).startswith(name(one) + "/")
    assert names.session_id(one, 1) != names.session_id(other, 1)


@given(keys)
def test_names_are_fit_for_git(key: AttemptKey) -> None:
    """https://git-scm.com/docs/git-check-ref-format, for what ids may contain."""
    for ref in (names.attempt_branch(key), names.checkpoint_ref(key), names.integration_branch(key.run)):
        assert re.fullmatch(r"[A-Za-z0-9._/-]+", ref)
        assert not re.search(r"\.\.|//|\.lock(/|$)|/\.|\.(/|$)|^-", ref)


@given(ids)
def test_the_integration_branch_and_directory_are_nobodys(fid: str) -> None:
    key = AttemptKey(RUN, fid, 1)
    assert not names.attempt_branch(key).startswith(names.integration_branch(RUN))
    assert names.worktree_dir(key) != names.integration_dir(RUN)


@pytest.mark.parametrize(
    "text",
    ["", "a/b", f"{RUN}/a", f"{RUN}/a/x", f"{RUN}/a/1/2", "main/a/1", f"{RUN}/a/²", f"{RUN}/a/٣", f"{RUN}//1", f"{RUN}/a/0",
     f"{RUN}/a/01", "٢٠٢٦٠١٠٢-030405-beef/a/1"],
)  # fmt: skip
def test_no_attempt(text: str) -> None:
    assert names.parse_attempt_key(text) is None


@pytest.mark.parametrize(
    "branch",
    ["main", "orch", f"orch/{RUN}/integration", f"orch/{RUN}/feature/a", f"orch/{RUN}/feature/a/x",
     f"orch/{RUN}/bug/a/1", f"other/{RUN}/feature/a/1", f"orch/{RUN}/feature/a/1/2"],
)  # fmt: skip
def test_no_branch_of_ours(branch: str) -> None:
    assert names.parse_attempt_branch(branch) is None


def test_the_names_themselves() -> None:
    """Written in git and on disks of users: they may not change."""
    key = AttemptKey(RUN, "login", 2)
    assert names.attempt_branch(key) == f"orch/{RUN}/feature/login/2"
    assert names.integration_branch(RUN) == f"orch/{RUN}/integration"
    assert names.checkpoint_ref(key) == f"refs/orchestrate/{RUN}/login/2"
    assert names.worktree_dir(key) == f"{RUN}/login.2"
    assert names.integration_dir(RUN) == f"{RUN}/integration"
    assert names.session_id(key, 1) == "10afcb2c-bc98-55b3-a314-adff023eb7e3"
