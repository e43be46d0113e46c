"""The log on disk: what survives, who may look, and what it says when it cannot."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrate.core import events as ev
from orchestrate.errors import ExitCode, OrchestrateError
from orchestrate.store import log as log_module
from orchestrate.store.chain import link
from orchestrate.store.database import FORMAT, ROWS
from orchestrate.store.log import SqliteEventLog

ROOT = Path(__file__).parents[2]


def warned(message: str) -> ev.Warned:
    return ev.Warned(1.0, "a", message)


def fill(path: Path, *messages: str) -> None:
    with SqliteEventLog(path) as log:
        log.append("r", [warned(message) for message in messages])


def messages(log: SqliteEventLog) -> list[str]:
    return [stored.event.message for stored in log.read("r") if isinstance(stored.event, ev.Warned)]


def child(program: str, path: Path, stdin: int | None = None) -> subprocess.Popen[str]:
    """A Python process beside this one, with the log's path as its argument."""
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program), str(path)],
        stdin=stdin,
        stdout=subprocess.PIPE,
        text=True,
        env={"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]},
    )


def write_by_hand(path: Path, kind: str, body: str) -> None:
    """One more event of run `r`, with a good sum, of a kind and shape that this version would not write."""
    with raw(path) as db:
        seq, previous = db.execute("SELECT seq, sum FROM event ORDER BY seq DESC LIMIT 1").fetchone()
        row = (seq + 1, "r", 2.0, kind, body)
        db.execute("INSERT INTO event VALUES (?, ?, ?, ?, ?, ?)", (*row, link(previous, *row)))


@contextlib.contextmanager
def raw(path: Path) -> Iterator[sqlite3.Connection]:
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
        yield db


# ── what it is ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_is_made_for_the_owner_alone_and_nothing_is_left_beside_it(log_path: Path) -> None:
    fill(log_path, "one")
    assert stat.S_IMODE(log_path.stat().st_mode) == 0o600
    assert stat.S_IMODE(log_path.parent.stat().st_mode) == 0o700
    assert os.listdir(log_path.parent) == ["log.sqlite3"]


def test_opens_again_with_all_it_had(log_path: Path) -> None:
    fill(log_path, "one")
    fill(log_path, "two")
    with SqliteEventLog(log_path) as log:
        assert messages(log) == ["one", "two"]


def test_uses_write_ahead_logging(log_path: Path) -> None:
    fill(log_path, "one")
    with raw(log_path) as db:
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE event SET body = '{}'",
        "DELETE FROM event",
        "DELETE FROM event WHERE seq = 1",
        "UPDATE control SET run = 's'",
        "DELETE FROM control",
    ],
)
def test_nobody_may_change_or_remove_a_row(log_path: Path, sql: str) -> None:
    fill(log_path, "one")
    with SqliteEventLog(log_path) as log:
        log.request("r", ev.PauseRequested(1.0))
    with raw(log_path) as db, pytest.raises(sqlite3.IntegrityError, match="append-only"):
        db.execute(sql)


def test_a_batch_is_all_or_nothing(log_path: Path) -> None:
    with SqliteEventLog(log_path) as log:
        log.append("r", [warned("one")])
        with pytest.raises(OrchestrateError, match="NOT NULL"):
            log.append("r", [warned("two"), ev.Warned(float("nan"), "a", "no time")])
        log.append("r", [warned("three")])
        assert messages(log) == ["one", "three"]
        assert [stored.seq for stored in log.read("r")] == [1, 2]


def test_questions_do_not_read_the_whole_log(log_path: Path) -> None:
    """By the query plan, not by the clock: every question goes through an index."""
    fill(log_path, "one")
    questions = [
        (log_module._RUNS, ()),
        (f"{ROWS[FORMAT]} WHERE run = ? AND seq > ? ORDER BY seq", ("r", 1)),
        (f"{ROWS[FORMAT]} WHERE run = ? ORDER BY seq DESC LIMIT 1", ("r",)),
        (f"{ROWS[FORMAT]} WHERE seq > ? ORDER BY seq", (1,)),
        (log_module._NEWEST_OF_RUN, ("r", 1)),
        (log_module._SUM_BEFORE, ("r", 1)),
    ]
    with raw(log_path) as db:
        for sql, arguments in questions:
            steps = [row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {sql}", arguments)]
            assert not [step for step in steps if step.startswith("SCAN event")], (sql, steps)


# ── more than one process ────────────────────────────────────────────────────────────────────────────────────────


def test_a_reader_in_another_process_sees_what_is_appended_while_it_lives(log_path: Path) -> None:
    reader = child(
        """
        import sys, pathlib
        from orchestrate.store.log import SqliteEventLog
        log = SqliteEventLog(pathlib.Path(sys.argv[1]), read_only=True)
        for line in sys.stdin:
            print([stored.event.message for stored in log.read("r", int(line))], flush=True)
        """,
        log_path,
        stdin=subprocess.PIPE,
    )
    with reader as follower:
        assert follower.stdin is not None and follower.stdout is not None

        def ask(after: int) -> str:
            assert follower.stdin is not None and follower.stdout is not None
            follower.stdin.write(f"{after}\n")
            follower.stdin.flush()
            return follower.stdout.readline().strip()

        assert ask(0) == "[]", "before there is a log"
        with SqliteEventLog(log_path) as log:
            log.append("r", [warned("one")])
            assert ask(0) == "['one']"
            log.append("r", [warned("two")])
            assert ask(1) == "['two']"
        assert ask(0) == "['one', 'two']"
        follower.stdin.close()
        assert follower.wait(10) == 0


def test_eight_processes_may_make_it_at_once(log_path: Path) -> None:
    program = """
        import sys, pathlib
        from orchestrate.core.events import Warned
        from orchestrate.store.log import SqliteEventLog
        print("ready", flush=True)
        sys.stdin.readline()
        with SqliteEventLog(pathlib.Path(sys.argv[1])) as log:
            for n in range(5):
                log.append("r", [Warned(1.0, "a", str(n)), Warned(1.0, "a", str(n))])
    """
    read_end, write_end = os.pipe()
    writers = [child(program, log_path, stdin=read_end) for _ in range(8)]
    assert [writer.stdout and writer.stdout.readline() for writer in writers] == ["ready\n"] * 8
    os.close(read_end)
    os.close(write_end)  # to all of them at once
    for writer in writers:
        writer.communicate()
    assert [writer.returncode for writer in writers] == [0] * 8
    with SqliteEventLog(log_path) as log:
        assert [stored.seq for stored in log.read("r")] == list(range(1, 81))


def test_what_append_returned_survives_kill_9(log_path: Path) -> None:
    program = """
        import sys, pathlib
        from orchestrate.core.events import InvocationProgressed, Warned
        from orchestrate.store.log import SqliteEventLog
        log = SqliteEventLog(pathlib.Path(sys.argv[1]))
        n = 0
        while True:
            n += 1
            log.append("r", [Warned(1.0, "a", "x"), InvocationProgressed(1.0, "a", 1, 1)])
            log.append("r", [InvocationProgressed(1.0, "a", 1, 1)])
            print(n * 3, flush=True)
    """
    acknowledged = 0
    for cut in range(1, 11):
        with child(program, log_path) as writer:
            assert writer.stdout is not None
            told = 0
            for _ in range(cut * 2):
                told = int(writer.stdout.readline())
            writer.send_signal(signal.SIGKILL)
            told = int(([str(told), *writer.stdout.read().split()])[-1])
        with SqliteEventLog(log_path, read_only=True) as log:
            found = [stored.seq for stored in log.read("r")]
        assert found == list(range(1, len(found) + 1))
        assert len(found) >= acknowledged + told
        acknowledged = len(found)


def test_a_request_comes_in_while_an_engine_writes(log_path: Path) -> None:
    person = """
        import sys, pathlib
        from orchestrate.core.events import PauseRequested
        from orchestrate.store.log import SqliteEventLog
        for line in sys.stdin:
            with SqliteEventLog(pathlib.Path(sys.argv[1])) as log:
                print(log.request("r", PauseRequested(float(line), "anna@host")), flush=True)
    """
    with SqliteEventLog(log_path) as engine, child(person, log_path, stdin=subprocess.PIPE) as process:
        assert process.stdin is not None and process.stdout is not None
        for number in (1, 2, 3):
            engine.append("r", [warned("work")])
            before = engine.changes()
            assert engine.changes() == before, "what it writes itself is no news"
            process.stdin.write(f"{number}\n")
            process.stdin.flush()
            assert process.stdout.readline() == f"{number}\n"
            assert engine.changes() != before
            assert engine.requests("r", number - 1) == [(number, ev.PauseRequested(float(number), "anna@host"))]
        process.stdin.close()
        assert process.wait(30) == 0
        assert len(engine.read("r")) == 3


def test_what_was_asked_for_survives_the_one_who_asked(log_path: Path) -> None:
    program = """
        import os, signal, sys, pathlib
        from orchestrate.core.events import CancelRequested
        from orchestrate.store.log import SqliteEventLog
        SqliteEventLog(pathlib.Path(sys.argv[1])).request("r", CancelRequested(1.0, "anna", 0, ("api",)))
        os.kill(os.getpid(), signal.SIGKILL)
    """
    with child(program, log_path) as process:
        assert process.wait(30) == -signal.SIGKILL
    with SqliteEventLog(log_path, read_only=True) as log:
        assert log.requests("r") == [(1, ev.CancelRequested(1.0, "anna", 0, ("api",)))]


# ── looking only ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_reader_makes_nothing(log_path: Path) -> None:
    with SqliteEventLog(log_path, read_only=True) as log:
        assert (log.runs(), log.read("r"), log.tail(), log.last("r")) == ([], [], [], None)
        assert (log.requests("r"), log.changes(), log.verify()) == ([], 0, 0)
        with pytest.raises(OrchestrateError, match="opened for reading only"):
            log.append("r", [warned("one")])
        with pytest.raises(OrchestrateError, match="opened for reading only"):
            log.request("r", ev.PauseRequested(1.0))
        with pytest.raises(OrchestrateError, match="opened for reading only"):
            log.back_up(1.0)
    assert not log_path.parent.exists()


@pytest.fixture
def public_dir() -> Iterator[Path]:
    """A directory that other users can reach (pytest's own are private)."""
    directory = Path(tempfile.mkdtemp(prefix="orchestrate-test-", dir="/tmp"))
    directory.chmod(0o755)
    yield directory
    directory.chmod(0o755)
    shutil.rmtree(directory)


@pytest.mark.parametrize("engine_died", [False, True], ids=["closed", "with-a-wal-left"])
def test_reads_in_a_directory_that_cannot_be_written(public_dir: Path, *, engine_died: bool) -> None:
    path = public_dir / "log.sqlite3"
    fill(path, "one")
    if engine_died:
        program = """
            import os, sys, pathlib
            from orchestrate.core.events import Warned
            from orchestrate.store.log import SqliteEventLog
            SqliteEventLog(pathlib.Path(sys.argv[1])).append("r", [Warned(1.0, "a", "two")])
            os._exit(9)
        """
        with child(program, path) as writer:
            writer.wait()
        (public_dir / "log.sqlite3-shm").unlink()
        assert (public_dir / "log.sqlite3-wal").stat().st_size
    for file in public_dir.iterdir():
        file.chmod(0o644)
    before = sorted(os.listdir(public_dir))
    public_dir.chmod(0o555)
    reader = """
        import os, sys, pathlib, urllib.parse  # while we may still read where Python lies
        from orchestrate.store.log import SqliteEventLog
        if os.geteuid() == 0:  # whom no permission keeps from writing: be somebody else
            os.setgroups([]), os.setgid(65534), os.setuid(65534)
        with SqliteEventLog(pathlib.Path(sys.argv[1]), read_only=True) as log:
            print([stored.event.message for stored in log.read("r")], log.runs())
    """
    with child(reader, path) as process:
        out, _ = process.communicate()
    assert (out.strip(), process.returncode) == (f"{['one', 'two'] if engine_died else ['one']} ['r']", 0)
    assert sorted(os.listdir(public_dir)) == before


# ── refusals ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("read_only", [False, True])
def test_a_newer_format_is_refused_by_its_number(log_path: Path, *, read_only: bool) -> None:
    fill(log_path, "one")
    with raw(log_path) as db:
        db.execute(f"PRAGMA user_version = {FORMAT + 1}")
    with pytest.raises(
        OrchestrateError, match=rf"has format {FORMAT + 1}, written by a newer.* reads format {FORMAT}"
    ) as e:
        SqliteEventLog(log_path, read_only=read_only)
    assert "upgrade" in e.value.hint and e.value.code == ExitCode.REFUSED


def test_an_event_of_a_newer_version_is_refused_by_that_version(log_path: Path) -> None:
    with SqliteEventLog(log_path) as log:
        log.append("r", [ev.EngineStarted(1.0, 7, version="0.9.2")])
        write_by_hand(log_path, "Applauded", "{}")
        with pytest.raises(
            OrchestrateError, match=r"run r was written by orchestrate 0\.9\.2; .*'Applauded' are unknown"
        ):
            log.read("r")
        log.append("s", [warned("fine")])
        assert log.read("s"), "other runs stay readable"


def test_a_damaged_event_is_named_by_its_number(log_path: Path) -> None:
    fill(log_path, "one")
    write_by_hand(log_path, "Warned", "{")
    with SqliteEventLog(log_path) as log, pytest.raises(OrchestrateError, match="damaged: event 2 cannot be read") as e:
        log.read("r")
    assert "mv log.sqlite3* damaged-1/" in e.value.hint


@pytest.mark.parametrize("read_only", [False, True])
@pytest.mark.parametrize(
    "content", [b"no database at all, but long enough to have a header" * 40, b"", b"SQLite format 3\0"]
)
def test_a_file_that_is_no_log_is_refused(log_path: Path, content: bytes, *, read_only: bool) -> None:
    log_path.parent.mkdir()
    log_path.write_bytes(content)
    with pytest.raises(OrchestrateError, match=r"damaged|not a log of orchestrate") as e:
        SqliteEventLog(log_path, read_only=read_only)
    assert "mv " in e.value.hint
    assert log_path.read_bytes() == content


def test_a_foreign_database_is_left_alone(log_path: Path) -> None:
    log_path.parent.mkdir()
    with raw(log_path) as db:
        db.execute("CREATE TABLE event (id)")
    with pytest.raises(OrchestrateError, match="not a log of orchestrate"):
        SqliteEventLog(log_path)


def test_a_damaged_page_is_a_refusal_and_no_traceback(log_path: Path) -> None:
    fill(log_path, *["x" * 3000] * 50)
    content = bytearray(log_path.read_bytes())
    content[8192:] = b"\xa5" * (len(content) - 8192)
    log_path.write_bytes(content)
    with pytest.raises(OrchestrateError, match="is damaged"), SqliteEventLog(log_path) as log:
        log.read("r")


def test_a_log_held_by_another_writer_is_refused_in_time(log_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with SqliteEventLog(log_path) as log, raw(log_path) as other:
        assert log._connection is not None
        log._connection.execute("PRAGMA busy_timeout = 1")
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(OrchestrateError, match="held by another process") as e:
            log.append("r", [warned("one")])
        assert e.value.code == ExitCode.INCOMPLETE
        other.execute("ROLLBACK")
        assert log.append("r", [warned("two")])


def test_a_full_disk_is_said(log_path: Path) -> None:
    with SqliteEventLog(log_path) as log:
        assert log._connection is not None
        log.append("r", [warned("one")])
        log._connection.execute("PRAGMA max_page_count = 1")  # stands in for the disk: the same error code
        with pytest.raises(OrchestrateError, match="no space left"):
            log.append("r", [warned("x" * 100_000)])
        assert messages(log) == ["one"]


def test_a_place_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OrchestrateError, match="cannot be used") as e:
        SqliteEventLog(tmp_path / "file" / "log.sqlite3")
    assert "ls -l" in e.value.hint


# ── what others do to its files ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("suffix", ["", "-wal"])
@pytest.mark.parametrize("how", ["removed", "replaced"])
def test_a_log_that_is_no_longer_in_its_place_is_not_written_to(log_path: Path, suffix: str, how: str) -> None:
    with SqliteEventLog(log_path) as log:
        log.append("r", [warned("kept")])
        file = Path(f"{log_path}{suffix}")
        file.rename(f"{file}.gone")
        if how == "replaced":
            shutil.copyfile(f"{file}.gone", file)
        for use in (lambda: log.append("r", [warned("lost")]), log.changes, lambda: log.read("r")):
            with pytest.raises(
                OrchestrateError, match="was removed or replaced while the run was being driven"
            ) as said:
                use()
            assert said.value.code is ExitCode.INCOMPLETE
        Path(f"{file}.gone").replace(file)
        log.append("r", [warned("again")])
        assert messages(log) == ["kept", "again"]


def test_the_beginning_of_a_run_outlives_its_write_ahead_log(log_path: Path) -> None:
    program = """
        import os, pathlib, signal, sys
        from orchestrate.core import events as ev
        from orchestrate.store.log import SqliteEventLog
        log = SqliteEventLog(pathlib.Path(sys.argv[1]))
        log.append("r", [ev.RunStarted(1.0, "r", "p", "base", "main", "orch/r", "{}", "1")])
        os.kill(os.getpid(), signal.SIGKILL)
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(program), str(log_path)], cwd=ROOT, check=False)
    Path(f"{log_path}-wal").unlink()
    with SqliteEventLog(log_path) as log:
        assert log.runs() == ["r"]


def test_little_of_the_log_lies_in_its_write_ahead_log_alone(log_path: Path) -> None:
    with SqliteEventLog(log_path) as log:
        for _ in range(40):
            log.append("r", [warned("x" * 20_000)])
        assert Path(f"{log_path}-wal").stat().st_size < 200 * 4096
        assert log_path.stat().st_size > 100 * 4096


@pytest.mark.parametrize("suffix", ["", "-wal", "-shm"])
@pytest.mark.parametrize("kind", ["fifo", "directory", "dangling symlink", "symlink loop"])
@pytest.mark.parametrize("read_only", [True, False])
def test_what_is_no_file_is_refused_as_the_log(log_path: Path, suffix: str, kind: str, read_only: bool) -> None:
    fill(log_path, "x")
    file = Path(f"{log_path}{suffix}")
    file.unlink(missing_ok=True)
    match kind:
        case "fifo":
            os.mkfifo(file)
        case "directory":
            file.mkdir()
        case "dangling symlink":
            file.symlink_to("nowhere")
        case _:
            file.symlink_to(file.name)
    with pytest.raises(OrchestrateError, match=f"{file.name} is no regular file") as refused:
        SqliteEventLog(log_path, read_only=read_only)
    assert refused.value.code is ExitCode.REFUSED


def test_a_log_behind_a_link_is_a_log(log_path: Path, tmp_path: Path) -> None:
    fill(tmp_path / "elsewhere" / "log.sqlite3", "x")
    log_path.parent.mkdir()
    log_path.symlink_to(tmp_path / "elsewhere" / "log.sqlite3")
    with SqliteEventLog(log_path) as log:
        log.append("r", [warned("y")])
        assert messages(log) == ["x", "y"]


def test_a_request_that_nobody_wrote_is_told_and_the_others_are_heard(log_path: Path) -> None:
    with SqliteEventLog(log_path) as log:
        first = log.request("r", ev.StopRequested(1.0, "drain"))
        with contextlib.closing(sqlite3.connect(log_path)) as other, other:
            other.execute("INSERT INTO control VALUES (?, 'r', 1.0, 'Junk', 'junk', x'00')", (first + 1,))
        third = log.request("r", ev.StopRequested(2.0, "cancel"))
        told: list[tuple[int, str]] = []
        heard = log.requests("r", unreadable=lambda number, why: told.append((number, why)))
        assert [number for number, _ in heard] == [first, third]
        assert [number for number, _ in told] == [first + 1]
        with pytest.raises(OrchestrateError, match="damaged"):
            log.requests("r")
