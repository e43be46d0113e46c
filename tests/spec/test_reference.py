"""The reference names every key with its default and meaning."""

from __future__ import annotations

from orchestrate.spec.layers import setting_paths, variable_of
from orchestrate.spec.reference import render_reference


def test_every_setting_is_there_with_its_variable() -> None:
    page = render_reference()
    rows = {line.split("`")[1]: line for line in page.splitlines() if line.startswith("| `")}
    for path in setting_paths():
        assert f"`{variable_of(path)}`" in page
        assert str(path[-1]) in rows
    assert rows["max_parallel"].startswith("| `max_parallel` | whole number, 1 to 256 | `3` | Agents at work")
    assert rows["retry_backoff_seconds"].split(" | ")[1:3] == ["number, 0 to 86,400", "`10`"]
    assert "`verified` \\| `integrated`" in rows["start_on"]


def test_every_row_has_all_its_cells_and_a_meaning() -> None:
    width = 0
    for line in render_reference().splitlines():
        cells = line.replace("\\|", "").count("|")
        if line.startswith("| key"):
            width = cells
        elif line.startswith("| `"):
            assert cells == width, line
            assert len(line.replace("\\|", "").split("|")[4].strip()) > 10, line
