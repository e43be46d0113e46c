"""What `doctor` says of the log."""

from __future__ import annotations

from pathlib import Path

from orchestrate.app.doctor import Finding, examine
from orchestrate.core import events as ev
from orchestrate.store.log import SqliteEventLog
from tests.support.repos import Repo


def test_a_log_is_looked_through(tmp_path: Path) -> None:
    repo = Repo.make(tmp_path / "repo")
    path = repo.path / ".git" / "orchestrate" / "log.sqlite3"
    environ = {"PATH": "/usr/local/bin:/usr/bin:/bin"}

    def rows() -> list[Finding]:
        return [found for found in examine(start=repo.path, config=None, environ=environ) if found.name == "log"]

    assert rows() == [], "before the first run there is nothing to say"
    with SqliteEventLog(path) as log:
        log.append("r", [ev.Warned(1.0, "a", "words"), ev.Warned(2.0, "a", "more")])
    [row] = rows()
    assert (row.verdict, row.text) == ("ok", "2 events of 1 run, undamaged; no backup yet (the next run makes one)")
    with SqliteEventLog(path) as log:
        log.back_up(1.0)
    assert rows()[0].text == "2 events of 1 run, undamaged; the newest backup holds 2"
    content = bytearray(path.read_bytes())
    content[content.rindex(b"words")] ^= 1
    path.write_bytes(content)
    [row] = rows()
    assert row.verdict == "missing" and "event 1 of run r is not what was written" in row.text
    assert "holds 2 events; to put it in place: cd " in row.hint
