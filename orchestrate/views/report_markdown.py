"""The report for people: what became of the run in words first, then in tables, then whatever failed and why.

Invariant: no text of an agent, a check or a user can end a table, a fence or a tag, hide anything, or become a link.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from orchestrate.views.figures import count_of, render_duration, render_money, render_tokens, shorten
from orchestrate.views.reasons import parse_setup_failure
from orchestrate.views.report_model import AttemptReport, CheckReport, FeatureReport, Report, RoundReport, Spent
from orchestrate.views.run import Status
from orchestrate.views.text import clean, clean_block

SYMBOLS: dict[Status, str] = {
    "waiting": "○",
    "ready": "○",
    "preparing": "◐",
    "working": "◐",
    "checking": "◐",
    "verified": "◐",
    "merging": "◐",
    "paused": "‖",
    "integrated": "✓",
    "failed": "✗",
    "no_changes": "✗",
    "conflicted": "✗",
    "cancelled": "⊘",
    "skipped": "⊘",
}
GRAPH_LIMIT = 100
"""Features in the drawn graph at most: beyond, nobody can read it, and Mermaid refuses more than 500 edges."""
WHY_WIDTH = 140
SAID_LIMIT = 2000
"""Characters of an agent's last words; the JSON report has them whole."""
TAIL_LIMIT = 6000


def render_markdown(report: Report) -> str:
    """GitHub-flavoured Markdown. https://github.github.com/gfm/"""
    parts: list[Iterable[str]] = [
        [f"# Run {report.run.id} of {escape(report.run.project)}: {_run_word(report)}"],
        _summary(report),
        _next(report),
        _overview(report),
        _troubles(report),
        _kept(report),
        _time(report),
        _costs(report),
        _graph(report),
        _attempts(report),
        _requests(report),
        _warnings(report),
    ]
    return "\n\n".join(block for part in parts for block in part if block) + "\n"


# ── harmless text ────────────────────────────────────────────────────────────────────────────────────────────────

_SPECIAL = re.compile(r"[\\`*_\[\]<>#|~&@$^]|^[-+=]|(?<=^\d)[.)]|(?<=^\d\d)[.)]|:(?=//)|(?<=www)\.", re.IGNORECASE)
"""What can begin emphasis, a link, a tag, a mention, a formula or a cell; at the start of a line also a list."""


def escape(text: str) -> str:
    """One line that shows exactly these characters, in a paragraph as well as in a table.

    By numeric references, which are never read as markup.
    """
    return _SPECIAL.sub(lambda found: f"&#{ord(found[0])};", clean(text).strip())


def fenced(text: str) -> str:
    """A block of text, in a fence that is longer than any in it."""
    body = clean_block(text).strip("\n")
    longest = max((len(run) for run in re.findall(r"`+", body)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{body}\n{fence}"


def code(text: str) -> str:
    """A span of code, in more backticks than any in it; `|` is written so that it does not end a cell."""
    body = clean(text).replace("|", "\\|")
    if not body:
        return ""
    ticks = "`" * (max((len(run) for run in re.findall(r"`+", body)), default=0) + 1)
    return f"{ticks} {body} {ticks}" if "`" in body else f"{ticks}{body}{ticks}"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], right: frozenset[int] = frozenset()) -> str:
    rule = ["--:" if column in right else "---" for column in range(len(head))]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (head, rule, *rows))


def _tail(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"… {text[-limit:]}"


def _money(spent: Spent, live_usd: float = 0.0) -> str:
    return render_money(spent.cost_usd + live_usd, estimated=spent.estimated_usd > 0)


def _run_word(report: Report) -> str:
    return "broken off" if report.run.broken_off else report.run.status


def _standing(feature: FeatureReport) -> tuple[str, str]:
    """Symbol and word."""
    return ("⊘", "cut off") if feature.cut_off else (SYMBOLS[feature.status], _word(feature.status))


# ── parts ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _summary(report: Report) -> Iterable[str]:
    totals, time, run = report.totals, report.time, report.run
    are = "is" if 1 in (totals.integrated, totals.features) else "are"
    sentence = f"**{totals.integrated} of {count_of(totals.features, 'feature')} {are} integrated.**"
    standings = Counter(_standing(feature)[1] for feature in report.features if not feature.success)
    others = [f"{count} {word}" for word, count in standings.items()]
    if others:
        sentence += f" The others: {', '.join(others)}."
    if run.status in ("limit", "interrupted", "halted"):
        sentence += f" The run ended early: {escape(run.why)}."
    yield sentence
    spent = totals.spent
    took = "has taken" if run.ended_at is None and not run.broken_off else "took"
    facts = f"It {took} {render_duration(time.wall_s)}"
    stood = [f"{render_duration(time.down_s)} without an engine"] if time.down_s else []
    stood += [f"{render_duration(time.held_s)} paused"] if time.held_s else []
    if stood:
        facts += f" (of it {', '.join(stood)})"
    facts += (
        f"; one worker would have needed {render_duration(time.sequential_s)},"
        f" and no order of work with {time.parallel} at once could have beaten {render_duration(time.bound_s)}."
        f" It cost {render_money(spent.cost_usd + totals.live_cost_usd)}"
    )
    if totals.live_cost_usd:
        facts += f" so far (of it {render_money(totals.live_cost_usd)} by agents that have not ended)"
    if spent.estimated_usd:
        facts += f" (of it {render_money(spent.estimated_usd)} estimated)"
    tokens = render_tokens(spent.tokens.total + totals.live_tokens.total)
    facts += f" for {tokens} tokens in {count_of(spent.invocations, 'invocation')}."
    if totals.lost_invocations:
        lost = count_of(totals.lost_invocations, "invocation")
        facts += f" What {lost} cost is unknown: the engine was stopped meanwhile."
    if totals.saves:
        facts += f" Work in progress was saved {count_of(totals.saves, 'time')}."
    yield facts
    if totals.integrated:
        yield (
            f"The result is the branch {code(run.integration_branch)} at {code(run.tip[:10])},"
            f" started from {code(run.base_branch)} at {code(run.base[:10])}."
        )


def _next(report: Report) -> Iterable[str]:
    if report.next:
        yield "\n".join(f"- {code(step.command)}: {escape(step.why)}" for step in report.next[:12])


def _overview(report: Report) -> Iterable[str]:
    yield "## Features"
    yield _table(
        ("feature", "wave", "status", "tries", "time", "cost", "why"),
        [
            (
                escape(feature.id),
                str(feature.wave),
                " ".join(_standing(feature)),
                _tries(feature),
                render_duration(feature.busy_s) if feature.attempts else "",
                _money(feature.spent, feature.live_cost_usd) if feature.attempts else "",
                escape(shorten(feature.reason, WHY_WIDTH)),
            )
            for feature in report.features
        ],
        right=frozenset({1, 3, 4, 5}),
    )


def _tries(feature: FeatureReport) -> str:
    """`1/2`; attempts that count for nothing, or did before the feature was opened again, are told apart."""
    others = len(feature.attempts) - feature.tries
    return f"{feature.tries}/{feature.max_attempts}" + (f" (+{others} not counted)" if others > 0 else "")


def _word(status: str) -> str:
    return status.replace("_", " ")


def _troubles(report: Report) -> Iterable[str]:
    troubled = [
        f for f in report.features if f.attempts and f.status in ("failed", "no_changes", "conflicted", "cancelled")
    ]
    if troubled:
        yield "## What went wrong"
    for feature in troubled:
        yield from _trouble(feature)


def _trouble(feature: FeatureReport) -> Iterable[str]:
    yield f"### {escape(feature.id)}: {_word(feature.status)}"
    last = feature.attempts[-1]
    if last.conflicts:
        yield from _conflict(feature, last)
    elif feature.reason:
        yield escape(feature.reason)
    yield from _failed_setup(last)
    if last.change and last.change.out_of_scope:
        yield f"Changed outside its scope: {', '.join(code(path) for path in last.change.out_of_scope)}."
    if last.denials:
        yield f"The agent was not allowed: {', '.join(code(denial) for denial in last.denials)}."
    if last.rounds:
        yield from _failed_checks(last.rounds[-1])
    if feature.said:
        yield "The agent's last words:"
        yield fenced(shorten(feature.said, SAID_LIMIT))
    if last.branch:
        yield f"Its work is kept in {code(last.branch)} at {code(last.head[:10])}."


def _conflict(feature: FeatureReport, last: AttemptReport) -> Iterable[str]:
    others = f" with {' or '.join(escape(other) for other in feature.conflicts_with)}" if feature.conflicts_with else ""
    yield f"Conflicts in {', '.join(code(path) for path in last.conflicts)}{others}."
    need = code(feature.conflicts_with[0]) if len(feature.conflicts_with) == 1 else "the other one"
    yield (
        f"To keep it from happening, let it depend on {need} ({code('depends_on')})."
        f" To resolve it, merge {code(last.branch)} by hand."
    )


def _failed_setup(last: AttemptReport) -> Iterable[str]:
    """What the command printed; which one it was is in the reason."""
    if not last.invocations:
        for problem in last.problems:
            if output := parse_setup_failure(problem).output.strip():
                yield fenced(_tail(output, TAIL_LIMIT))


def _failed_checks(last: RoundReport) -> Iterable[str]:
    where = " on the merged tree" if last.where == "merged" else ""
    if last.error:
        yield f"The checks{where} could not be run: {escape(last.error)}"
    for check in last.checks:
        if not check.ok:
            yield f"Check {code(check.name)} ({code(check.command)}){where}: {_how(check)}."
            if check.tail.strip():
                yield fenced(_tail(check.tail, TAIL_LIMIT))


def _how(check: CheckReport) -> str:
    if check.timed_out:
        return f"timed out after {render_duration(check.duration_s)}"
    return "could not be run" if check.exit_code is None else f"exit {check.exit_code}"


def _kept(report: Report) -> Iterable[str]:
    """What is in no integration branch, and how it comes back."""
    if report.kept:
        yield "## Kept"
        yield "Work that was not integrated is kept, also after a clean-up; `orchestrate recover` lists it."
        yield _table(
            ("feature", "try", "outcome", "last commit", "brought back by"),
            [
                (
                    escape(kept.feature),
                    str(kept.attempt),
                    _word(kept.outcome or "unfinished"),
                    code(kept.head[:10]),
                    code(kept.command),
                )
                for kept in report.kept
            ],
            right=frozenset({1}),
        )


def _requests(report: Report) -> Iterable[str]:
    """What people asked for and what the machine forced, in the order of time."""
    said = [(control.at, escape(control.words)) for control in report.controls]
    for pause in report.pauses:
        if pause.cause != "operator":
            over = f", until {_clock(pause.until)}" if pause.until else ""
            room = "no room on the disk" if pause.cause == "disk" else "no room on the machine"
            said.append((pause.since, f"paused: {room}{f' ({escape(pause.why)})' if pause.why else ''}{over}"))
    if said:
        yield "## Pauses and requests"
        yield _table(("when (UTC)", "what"), [(_clock(at), words) for at, words in sorted(said)])


def _clock(at: str) -> str:
    """`2026-11-21 11:14:15`"""
    return at[:19].replace("T", " ")


def _time(report: Report) -> Iterable[str]:
    if not report.critical_path:
        return
    time = report.time
    yield "## Time"
    yield (
        f"At most {count_of(time.peak, 'feature')} at once, with those that were merged;"
        f" {time.speedup:.1f} times as fast as one worker{', while an engine was there' if time.down_s else ''}."
        " The chain of features that made the run as long as it was:"
    )
    yield _table(
        ("feature", "could start", "started", "waited", "next could start, or end"),
        [
            (
                escape(link.feature),
                *[render_duration(s) for s in (link.due_s, link.start_s, link.waited_s, link.ready_s)],
            )
            for link in report.critical_path
        ],
        right=frozenset({1, 2, 3, 4}),
    )


def _costs(report: Report) -> Iterable[str]:
    lines = [("model", line) for line in report.cost_by_model] + [("phase", line) for line in report.cost_by_phase]
    if not lines:
        return
    yield "## Cost"
    yield _table(
        ("by", "", "cost", "input", "output", "cache read", "cache write", "invocations"),
        [
            (
                by,
                escape(line.key),
                _money(line.spent),
                *[
                    render_tokens(count)
                    for count in (
                        line.spent.tokens.input,
                        line.spent.tokens.output,
                        line.spent.tokens.cache_read,
                        line.spent.tokens.cache_write,
                    )
                ],
                str(line.spent.invocations),
            )
            for by, line in lines
        ],
        right=frozenset(range(2, 8)),
    )


_COLOURS = {"✓": "#d4edda", "✗": "#f8d7da", "⊘": "#e2e3e5", "◐": "#fff3cd", "‖": "#ffe5b4", "○": "#ffffff"}


def _graph(report: Report) -> Iterable[str]:
    """The plan, with what became of it. https://mermaid.js.org/syntax/flowchart.html"""
    yield "## Plan"
    if len(report.features) > GRAPH_LIMIT:
        yield f"{len(report.features)} features are too many to draw; `orchestrate plan --format dot` gives the graph."
        return
    node = {feature.id: f"n{number}" for number, feature in enumerate(report.features)}
    names = {symbol: f"s{number}" for number, symbol in enumerate(_COLOURS)}
    lines = ["```mermaid", "graph LR"]
    for feature in report.features:
        symbol, word = _standing(feature)
        label = f"{feature.id}<br/>{symbol} {word}"  # ids have no character that could end a label
        lines.append(f'  {node[feature.id]}["{label}"]:::{names[symbol]}')
    lines += [f"  {node[need]} --> {node[f.id]}" for f in report.features for need in f.depends_on]
    lines += [f"  classDef {names[symbol]} fill:{colour},color:#000" for symbol, colour in _COLOURS.items()]
    yield "\n".join([*lines, "```"])


def _attempts(report: Report) -> Iterable[str]:
    rows = [_attempt_row(feature, attempt) for feature in report.features for attempt in feature.attempts]
    if rows:
        yield "## Attempts"
        yield _table(
            ("feature", "try", "outcome", "setup", "agent", "checks", "waiting", "merging", "cost", "change", "branch"),
            rows,
            right=frozenset({1, 3, 4, 5, 6, 7, 8}),
        )


def _attempt_row(feature: FeatureReport, attempt: AttemptReport) -> tuple[str, ...]:
    spent_s = attempt.durations_s
    change = attempt.change
    is_open = attempt.outcome is None
    return (
        escape(feature.id),
        str(attempt.number),
        _word(attempt.outcome or ("cut off" if feature.cut_off else "under way")),
        render_duration(spent_s["setup"]),
        render_duration(spent_s["agent"]),
        render_duration(spent_s["sealing"] + spent_s["checks"]),
        render_duration(spent_s["queued"] + spent_s["paused"]),
        render_duration(spent_s["merging"] + spent_s["merge_checks"]),
        _money(attempt.spent, feature.live_cost_usd if is_open else 0.0),
        f"{count_of(change.files, 'file')} +{change.insertions} −{change.deletions}" if change else "",
        code(attempt.branch),
    )


def _warnings(report: Report) -> Iterable[str]:
    if report.warnings:
        yield "## Warnings"
        yield "\n".join(
            f"- {escape(warning.feature) + ' · ' if warning.feature else ''}{escape(warning.message)}"
            for warning in report.warnings
        )
