"""What a killed process had begun to write is cleared away, and nothing else."""

from __future__ import annotations

from pathlib import Path

from orchestrate.store.database import clear_unfinished
from orchestrate.store.log import SqliteEventLog


def test_only_files_without_their_name_go(log_path: Path) -> None:
    SqliteEventLog(log_path).close()
    run = log_path.parent / "runs" / "20261121-111415-7f3a"
    run.mkdir(parents=True)
    stays = [run / "report.json", run / "report.md", log_path]
    for file in (*stays[:2], run / ".report.json.abc", log_path.with_name(".log.sqlite3.abc")):
        file.touch()

    clear_unfinished(log_path)

    assert sorted(file for file in log_path.parent.rglob("*") if file.is_file() and file.name[:1] == ".") == []
    assert all(file.exists() for file in stays)
