"""The report of any run can be made anew from its log."""

from __future__ import annotations

from orchestrate.engine.lock import acquire, this_process
from tests.support.logs import RUN, SCENARIOS, failed_and_skipped
from tests.support.statedir import Recording


def test_json_is_the_report_itself(recording: Recording) -> None:
    recording.store_scenario(failed_and_skipped())
    document = recording.ask("report", "--json").json
    assert document["schema"] == "orchestrate/report/v1"
    assert document["run"]["id"] == RUN
    assert {f["id"] for f in document["features"]} == {"db", "api", "dash", "docs"}


def test_markdown_and_the_short_form(recording: Recording) -> None:
    recording.store_scenario(failed_and_skipped())
    assert recording.ask("report", RUN, "--md").out.startswith(f"# Run {RUN}")
    short = recording.ask("report")
    assert "✗ db failed: check tests failed (exit 1): ````" in short.out
    assert "orchestrate report --md" in short.err


def test_a_written_report_is_named(recording: Recording) -> None:
    recording.store_scenario(failed_and_skipped())
    written = recording.state.report_markdown(RUN)
    written.parent.mkdir(parents=True)
    written.write_text("# Run")
    assert f"report  {written}" in recording.ask("report").out


def test_one_form_at_a_time(recording: Recording) -> None:
    recording.store_scenario(failed_and_skipped())
    answer = recording.ask("report", "--json", "--md")
    assert answer.code == 2
    assert answer.json["error"]["message"] == "--json and --md contradict each other"


def test_a_run_that_nobody_drives_broke_off(recording: Recording) -> None:
    scenario = SCENARIOS["under_way"]()
    recording.store_scenario(scenario)
    text = recording.ask("report", "--md").out
    assert text.startswith(f"# Run {RUN} of shop: broken off\n")
    assert "- `orchestrate resume`: " in text
    assert recording.ask("report", "--json").json["run"]["broken_off"] is True
    with acquire(recording.state.engine_lock, this_process(run=RUN, command="orchestrate run", since=1.0)):
        assert recording.ask("report", "--json").json["run"]["broken_off"] is False
