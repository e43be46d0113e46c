"""What the machine lacks or forbids: one clear message and a defined exit code each, and nothing half done."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.project import COMMAND, PATIENCE_S, Ended, Project

from .disk import mounted, why_no_disk

BOUND = ("setpriv", "--bounding-set", "-dac_override,-dac_read_search", "--") if os.geteuid() == 0 else ()
"""Permissions bind us, also where the tests are run by root."""

needs_permissions = pytest.mark.skipif(
    bool(BOUND) and shutil.which("setpriv") is None, reason="root without `setpriv` is bound by no permission"
)


def shell(project: Project, script: str, *args: str, bound: bool = False, **env: str | None) -> Ended:
    """Run a line of shell in which `"$0" "$@"` is the command with its arguments. env: changes; None: unset."""
    variables = {name: value for name, value in {**project.env, **env}.items() if value is not None}
    done = subprocess.run(
        [*(BOUND if bound else ()), "sh", "-c", script, COMMAND, *args],
        cwd=project.root, env=variables, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE_S,
        check=False,
    )  # fmt: skip
    return Ended(done.returncode, done.stdout, done.stderr)


def assert_nothing_was_made(project: Project) -> None:
    assert not project.branches() and not project.worktrees()
    assert not (project.root / ".git/orchestrate/log.sqlite3").exists()


# ── descriptors ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("limit", "words"),
    [
        (8, "only 8 files may be open at once, which is not enough (at least 24)"),
        (16, "only 16 files may be open at once, which is not enough (at least 24)"),
        (20, "only 20 files may be open at once, which is not enough (at least 24)"),
        (24, "only 24 files may be open at once, which is not enough for one agent"),
    ],
)
def test_too_few_descriptors_are_refused_with_the_limit_to_set(project: Project, limit: int, words: str) -> None:
    refused = shell(project, f'ulimit -n {limit}; exec "$0" "$@"', "run", "--yes")
    assert refused.code == 2, refused
    assert f"error: {words}\n  hint: raise the limit: ulimit -n " in refused.stderr
    assert_nothing_was_made(project)


@pytest.mark.parametrize(("limit", "at_once"), [(32, 1), (64, 3), (256, 4)])
def test_with_few_descriptors_fewer_agents_work_at_once(project: Project, limit: int, at_once: int) -> None:
    done = shell(project, f'ulimit -n {limit}; exec "$0" "$@"', "run", "--yes", "--json", "-j", "4")
    assert done.code == 0, done
    assert done.of("EngineStarted")[0]["parallel"] == at_once
    assert (f"{at_once} of 4 agents work at the same time" in done.stderr) is (at_once < 4)


def test_a_low_soft_limit_is_raised(project: Project) -> None:
    """The usual 1024, or less, is no limit where the hard one is higher."""
    done = shell(project, 'ulimit -S -n 30; exec "$0" "$@"', "run", "--yes", "--json")
    assert done.code == 0, done
    assert "files may be open" not in done.stderr


# ── streams ──────────────────────────────────────────────────────────────────────────────────────────────────────

UNWRITABLE = "error: stdout cannot be written: No space left on device\n"


@pytest.mark.parametrize(
    "args", [("plan",), ("plan", "--json"), ("status",), ("--help",), ("--version",), ("plan", "--nonsense", "--json")]
)
def test_an_output_that_cannot_be_written_is_told(project: Project, args: tuple[str, ...]) -> None:
    told = shell(project, 'exec "$0" "$@" > /dev/full', *args)
    assert told.code == (2 if args == ("status",) else 1), told
    assert (UNWRITABLE in told.stderr) is (args != ("status",)), "that one refuses, on stderr"
    assert "Traceback" not in told.stderr and "Exception ignored" not in told.stderr


def test_a_run_that_cannot_be_shown_is_done_all_the_same(project: Project) -> None:
    told = shell(project, 'exec "$0" "$@" > /dev/full', "run", "--yes", "--json")
    assert told.code == 1 and UNWRITABLE in told.stderr, told
    assert project.orchestrate("status", "--json").document["status"] == "done"


@pytest.mark.parametrize("redirection", [">&-", "2>&-", "<&-", ">&- 2>&- <&-"])
def test_closed_streams_stop_nothing(project: Project, redirection: str) -> None:
    assert shell(project, f'exec "$0" "$@" {redirection}', "run", "--yes", "-q").code == 0
    assert project.orchestrate("status", "--json").document["status"] == "done"


def test_where_warnings_cannot_be_written_nothing_is_begun(project: Project) -> None:
    assert shell(project, 'exec "$0" "$@" 2>/dev/full', "run", "--yes").code == 1
    assert_nothing_was_made(project)


# ── places ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "env",
    [
        {"HOME": None},
        {"HOME": "/nonexistent"},
        {"HOME": "/proc"},  # nothing can be made there
        {"TMPDIR": "/nonexistent"},
        {"HOME": None, "PATH_INFO": "x", "TMPDIR": "/proc"},
    ],
    ids=str,
)
def test_a_home_or_a_temporary_directory_that_is_not_there_stops_nothing(
    project: Project, env: dict[str, str | None]
) -> None:
    me = {
        "GIT_AUTHOR_NAME": "Ada",
        "GIT_AUTHOR_EMAIL": "a@b",
        "GIT_COMMITTER_NAME": "Ada",
        "GIT_COMMITTER_EMAIL": "a@b",
    }
    done = shell(project, 'exec "$0" "$@"', "run", "--yes", "-q", **me, **env)
    assert done.code == 0, done


@dataclass(frozen=True)
class Forbidden:
    """path: below the project's directory, made if it is not there. mode: it gets. other: it becomes another user's."""

    path: str
    mode: int = 0o555
    other: bool = False


@needs_permissions
@pytest.mark.parametrize(
    ("what", "words"),
    [
        (Forbidden("project/.git/orchestrate"), "cannot be written, so there is no place for the state of runs"),
        (Forbidden("project.worktrees"), "cannot be written, so there is no place for the worktrees"),
        (Forbidden("project/.git"), "cannot write to"),
    ],
)
def test_a_place_that_may_not_be_written_is_refused_before_anything_is_made(
    project: Project, what: Forbidden, words: str
) -> None:
    place = project.root.parent / what.path
    place.mkdir(exist_ok=True)
    before = place.stat().st_mode
    place.chmod(what.mode)
    try:
        refused = shell(project, 'exec "$0" "$@"', "run", "--yes", bound=True)
    finally:
        place.chmod(before)
    assert refused.code == 2, refused
    assert words in refused.stderr and str(place) in refused.stderr
    assert "hint:" in refused.stderr
    assert_nothing_was_made(project)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory to another user")
@needs_permissions
def test_the_state_of_another_user_is_refused_and_can_be_looked_at_by_nobody(project: Project) -> None:
    state = project.root / ".git/orchestrate"
    state.mkdir(mode=0o700)
    os.chown(state, 65534, 65534)
    refused = shell(project, 'exec "$0" "$@"', "run", "--yes", bound=True)
    assert refused.code == 2 and "Permission denied" in refused.stderr and str(state) in refused.stderr, refused
    looked = shell(project, 'exec "$0" "$@"', "status", bound=True)
    assert looked.code in (1, 2) and "error: " in looked.stderr and "defect" not in looked.stderr, looked


def test_a_file_where_the_state_is_to_be_is_refused(project: Project) -> None:
    (project.root / ".git/orchestrate").write_text("mine\n")
    refused = project.orchestrate("run", "--yes")
    assert refused.code == 2 and "Not a directory" in refused.stderr, refused
    assert (project.root / ".git/orchestrate").read_text() == "mine\n"
    (project.root / ".git/orchestrate").unlink()


def test_a_disk_with_less_than_asked_for_is_refused_before_anything_is_made(project: Project) -> None:
    refused = shell(project, 'exec "$0" "$@"', "run", "--yes", ORCHESTRATE_DISK__LOW_MB="1048576")
    assert refused.code == 2, refused
    assert "; a run needs 1048576 MiB\n  hint: make room: orchestrate cleanup --merged" in refused.stderr
    assert_nothing_was_made(project)


@pytest.mark.skipif(bool(why_no_disk()), reason=why_no_disk())
def test_on_a_read_only_disk_runs_can_be_looked_at_and_not_be_begun(project: Project, tmp_path: Path) -> None:
    assert project.orchestrate("run", "--yes", "-q").code == 0
    place = tmp_path / "disk"
    place.mkdir()
    with mounted(place, 64 * 2**20) as disk:
        disk.run("cp", "-a", project.root, place / "project")
        disk.make_read_only()
        looks = {
            args: disk.run(COMMAND, *args, cwd=place / "project", env=project.env, check=False)
            for args in (("status",), ("history",), ("report",), ("logs",), ("plan",))
        }
        assert {args: done.returncode for args, done in looks.items() if done.returncode} in ({}, {("plan",): 2}), looks
        refused = disk.run(COMMAND, "run", "--new", "--yes", cwd=place / "project", env=project.env, check=False)
        assert refused.returncode == 2 and "defect" not in refused.stderr, refused
        assert "error: " in refused.stderr and "hint:" in refused.stderr, refused
