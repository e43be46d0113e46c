"""`orchestrate logs FEATURE`: what an agent said and did in one attempt, also while it does it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Annotated

import typer

from orchestrate.cli.context import Session
from orchestrate.cli.options import FeatureOrRunArgument, RunOption, whole_number
from orchestrate.cli.plain import render_clock
from orchestrate.cli.printer import Printer, Stream
from orchestrate.cli.recorded import Recorded, find_feature, open_recorded, parse_attempt, plan_of
from orchestrate.core import events as ev
from orchestrate.core.names import AttemptKey
from orchestrate.engine.lock import owner
from orchestrate.errors import OrchestrateError
from orchestrate.views.attempts import AttemptView, CheckRound, InvocationView
from orchestrate.views.figures import count_of, render_duration, shorten
from orchestrate.views.lines import failed_checks
from orchestrate.views.reasons import (
    again_words,
    conflict_words,
    conflicting_features,
    failing_words,
    failures_in_a_row,
    parse_setup_failure,
)
from orchestrate.views.run import RunView, build_view, fold
from orchestrate.views.summary import end_line
from orchestrate.views.text import clean, clean_block
from orchestrate.views.transcript import Piece, PieceKind, parse_transcript_line

LOOK_EVERY_S = 0.25
"""How often a live transcript is looked at, seconds."""
_CHUNK = 1 << 20
TOLD_LINES = 12
"""Lines of feedback to an agent that are shown."""
TOLD_WIDTH = 400

_STYLES: dict[PieceKind, tuple[str, ...]] = {
    "begin": ("dim",),
    "thought": ("dim",),
    "tool": ("cyan",),
    "answer": ("dim",),
    "fault": ("red",),
    "note": ("yellow",),
    "end": ("bold",),
}
_LEADS: dict[PieceKind, str] = {"tool": "→ ", "answer": "    ", "fault": "  ✗ ", "note": "· ", "thought": "  "}


def logs(
    session: Session,
    feature: FeatureOrRunArgument = None,
    run: RunOption = None,
    attempt: Annotated[
        int | None,
        typer.Option(
            "--attempt", "-n", metavar="N", parser=whole_number(1, 10_000), help="Which attempt. [default: the last]"
        ),
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Stay until the attempt has ended.")] = False,
    raw: Annotated[bool, typer.Option("--raw", help="The agent's own lines, as it printed them.")] = False,
    checks: Annotated[bool, typer.Option("--checks", help="What the checks printed, instead.")] = False,
) -> None:
    """What an agent said and did; without a feature, what happened in the run.

    \b
      orchestrate logs                what happened in the run, line by line
      orchestrate logs api            the last attempt at feature api
      orchestrate logs api@1          the first one
      orchestrate logs api -f         the same, live
      orchestrate logs api --checks   why its checks failed
    """
    if checks and (raw or follow):
        raise OrchestrateError("--checks shows what is over; it goes with neither --raw nor --follow")
    if feature is None and (attempt is not None or raw or checks):
        raise OrchestrateError("--attempt, --raw and --checks are about one feature", hint="orchestrate logs FEATURE …")
    with open_recorded(session.start, session.environ) as recorded:
        run = recorded.find_run(run)
        if feature is None:
            from orchestrate.cli.story import show_story

            show_story(session.printer, recorded, run, follow=follow)
            return
        events = recorded.events(run)
        plan = plan_of(events)
        named, number = parse_attempt(feature)
        if number is not None and attempt not in (None, number):
            raise OrchestrateError(f"'{feature}' and -n {attempt} contradict each other", hint="leave one of them out")
        fid = find_feature(plan, named, f"run {run}")
        view = build_view(plan, (stored.event for stored in events))
        chosen = _choose(view.features[fid].attempts, fid, number or attempt)
        if checks:
            _show_checks(session.printer, recorded, run, chosen)
            return
        show = _raw_writer(session.printer.out) if raw else _piece_writer(session.printer.out, chosen)
        _Reader(recorded, view, chosen, session.printer, show, raw, events[-1].seq).read(follow=follow)


def _choose(made: Sequence[AttemptView], fid: str, number: int | None) -> AttemptView:
    if not made:
        raise OrchestrateError(f"feature {fid} has not been started in this run", hint="orchestrate status")
    if number is None:
        return made[-1]
    for attempt in made:
        if attempt.number == number:
            return attempt
    there = ", ".join(str(attempt.number) for attempt in made)
    raise OrchestrateError(f"feature {fid} has no attempt {number} in this run", hint=f"there is: {there}")


# ── the transcript ───────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(slots=True)
class Tail:
    """Complete lines of a file that may still grow, or not be there yet."""

    path: Path
    _file: IO[bytes] | None = None
    _rest: bytes = b""

    def lines(self, *, to_the_end: bool) -> Iterator[bytes]:
        """What is new. to_the_end: nobody writes any more, so what lacks a line's end is a line as well."""
        if self._file is None:
            try:
                self._file = self.path.open("rb")
            except FileNotFoundError:
                return
        parts = [self._rest]
        while chunk := self._file.read(_CHUNK):
            head, newline, tail = chunk.rpartition(b"\n")
            if not newline:
                parts.append(chunk)
                continue
            yield from (b"".join(parts) + head).split(b"\n")
            parts = [tail]
        self._rest = b"".join(parts)
        if to_the_end:
            if self._rest:
                yield self._rest
            self._rest = b""
            self._file.close()
            self._file = None


@dataclass(slots=True)
class _Reader:
    """Shows the steps of one attempt in order, each as far as it has come."""

    recorded: Recorded
    view: RunView
    attempt: AttemptView
    printer: Printer
    show: Callable[[bytes], None]
    raw: bool
    seq: int
    _at: int = 0
    _headed: int = -1
    _tails: dict[int, Tail] = field(default_factory=dict)

    def read(self, *, follow: bool) -> None:
        while True:
            # Ask before looking: what an engine wrote before it went is then still seen.
            is_live = self.attempt.ended is None and owner(self.recorded.state.engine_lock) is not None
            self._refresh()
            moved = self._show_news(is_live=is_live and follow)
            if self.attempt.ended is not None or not (is_live and follow):
                break
            if not moved:
                time.sleep(LOOK_EVERY_S)
        self._say_end(is_live=is_live)

    def _refresh(self) -> None:
        for stored in self.recorded.log.read(self.view.run, self.seq):
            self.seq = stored.seq
            fold(self.view, stored.event)

    def _steps(self) -> list[InvocationView | CheckRound]:
        """In order of time: an attempt does one thing after the other."""
        steps: list[InvocationView | CheckRound] = [*self.attempt.invocations, *self.attempt.rounds]
        return sorted(steps, key=_begun_at)

    def _show_news(self, *, is_live: bool) -> bool:
        moved = False
        for step in self._steps()[self._at :]:
            if isinstance(step, CheckRound):
                self._head(_checks_words(step))
            else:
                self._head(self._invocation_words(step), step.started.feedback)
                is_over = step.finished is not None or bool(step.lost) or not is_live
                tail = self._tail(step)
                for line in tail.lines(to_the_end=is_over):
                    self.show(line)
                    moved = True
                if step.finished is not None and step.finished.artifact and not tail.path.exists():
                    self.printer.say(f"its transcript is gone: {tail.path}")
                if not is_over:
                    return moved
                if step.finished is not None and step.finished.end == "transient" and not self.raw:
                    self._say_wait(step, step.finished)
            self._at += 1
            moved = True
        return moved

    def _tail(self, step: InvocationView) -> Tail:
        key = AttemptKey(self.view.run, self.attempt.feature, self.attempt.number)
        path = self.recorded.state.attempt_dir(key) / f"agent-{step.started.invocation}.jsonl"
        return self._tails.setdefault(step.started.invocation, Tail(path))

    def _head(self, words: str, feedback: str = "") -> None:
        if self._headed < self._at and not self.raw:
            out = self.printer.out
            out.line(("" if self._headed < 0 else "\n") + out.paint(words, "bold"))
            for line in render_told(feedback):
                out.line(out.paint(line, "dim"))
        self._headed = self._at

    def _say_wait(self, step: InvocationView, finished: ev.InvocationFinished) -> None:
        """What follows a failure of the service: nothing is printed until the agent is asked again."""
        before = self.attempt.invocations[: self.attempt.invocations.index(step) + 1]
        parts = (failing_words(finished.why), again_words(failures_in_a_row(before)))
        self.printer.out.line(render_piece(Piece("note", ", ".join(part for part in parts if part)), self.printer.out))

    def _invocation_words(self, step: InvocationView) -> str:
        attempt, begun = self.attempt, step.started
        return f"{attempt.feature} · attempt {attempt.number} · {begun.phase} · {render_clock(begun.at)}"

    def _say_end(self, *, is_live: bool) -> None:
        attempt, say = self.attempt, self.printer.say
        if not attempt.invocations:
            self._say_problem()
        if attempt.ended is not None:
            self._say_outcome(attempt.ended)
        elif is_live:
            say(f"\nstill under way; stay with it: orchestrate logs {attempt.feature} -f")
        else:
            say(f"\n{clean(end_line(self.view, named=not self.recorded.is_newest(self.view.run)))}")

    def _say_problem(self) -> None:
        """Why no agent was started; what a setup command printed comes line by line."""
        problem, say = self.attempt.problem, self.printer.say
        if problem is None:
            say("no agent was started")
        elif problem.kind != "setup":
            say(f"the agent was not started: {clean(problem.why)}")
        else:
            failure = parse_setup_failure(problem.why)
            say(f"the agent was not started: {clean(failure.title)}")
            for line in clean_block(failure.output).rstrip("\n").split("\n") if failure.output.strip() else ():
                self.printer.out.line(f"    {line}")

    def _say_outcome(self, ended: ev.AttemptEnded) -> None:
        attempt, say = self.attempt, self.printer.say
        feature = self.view.features[attempt.feature]
        why = clean(ended.why)
        if attempt.problem is not None and ended.why == attempt.problem.why:
            why = ""  # was told before
        if ended.outcome == "conflicted" and attempt is feature.attempt:
            others = conflicting_features(self.view, feature)
            why = clean(conflict_words(attempt.merge.paths if attempt.merge else (), others, ended.why))
        say(f"\nattempt {attempt.number}: {ended.outcome.replace('_', ' ')}{': ' if why else ''}{why}")
        if ended.outcome == "conflicted":
            say("to resolve it by hand, on a branch of your own:")
            say(f"    git switch -c resolve {self.view.integration_branch}")
            say(f"    git merge {attempt.branch}")
            trailer = f"Orchestrate-Attempt: {AttemptKey(self.view.run, attempt.feature, attempt.number)}"
            say(f'    git commit --trailer "{trailer}"    (once the files are right)')
            say("so that it does not come again: let one of the two depend on the other (depends_on)")


def render_told(feedback: str) -> list[str]:
    """What a rework tells the agent, indented; of much of it the beginning and the end."""
    lines = [shorten(line, TOLD_WIDTH) for line in clean_block(feedback).strip("\n").split("\n")]
    if not feedback.strip():
        return []
    if len(lines) > TOLD_LINES:
        half = TOLD_LINES // 2
        lines = [*lines[:half], f"… {count_of(len(lines) - TOLD_LINES + 1, 'more line')}", *lines[-half + 1 :]]
    return ["  told:", *(f"    {line}".rstrip() for line in lines)]


def _begun_at(step: InvocationView | CheckRound) -> float:
    return step.at - step.duration_s if isinstance(step, CheckRound) else step.started.at


def _piece_writer(out: Stream, attempt: AttemptView) -> Callable[[bytes], None]:
    """Files of the attempt's own worktree are shown without the long way there."""
    here = f"{attempt.path}/" if attempt.path else ""

    def show(line: bytes) -> None:
        for piece in parse_transcript_line(line):
            out.line(render_piece(replace(piece, text=piece.text.replace(here, "")) if here else piece, out))

    return show


def render_piece(piece: Piece, out: Stream) -> str:
    """One piece as lines: led by a sign, indented below it, in the colour of its kind."""
    lead = _LEADS.get(piece.kind, "")
    indent = "    " * piece.depth
    text = clean_block(piece.text).rstrip().replace("\n", f"\n{indent}{' ' * len(lead)}")
    return out.paint(f"{indent}{lead}{text}", *_STYLES.get(piece.kind, ()))


def _raw_writer(out: Stream) -> Callable[[bytes], None]:
    """Byte for byte into a file or a pipe; harmless on a terminal."""
    buffer = getattr(out.file, "buffer", None)

    def show(line: bytes) -> None:
        if out.is_terminal or buffer is None:
            out.line(clean_block(line.decode("utf-8", "replace")))
        else:
            buffer.write(line + b"\n")
            buffer.flush()

    return show


# ── checks ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _show_checks(printer: Printer, recorded: Recorded, run: str, attempt: AttemptView) -> None:
    if not attempt.rounds:
        printer.say(f"no check has run yet in attempt {attempt.number} at {attempt.feature}")
    for number, step in enumerate(attempt.rounds):
        printer.answer(("\n" if number else "") + printer.out.paint(_checks_words(step), "bold"))
        for check in step.checks:
            printer.answer(_check_words(printer.out, check))
            if not check.ok or printer.verbosity > 0:
                _show_output(printer.out, recorded.state.run_dir(run), check)


def _checks_words(step: CheckRound) -> str:
    where = "checks on the merged tree" if step.on_merged else "checks"
    verdict = "passed" if step.ok else clean(failed_checks(step.checks, step.error))
    return f"{where} · {render_clock(step.at)} · {verdict}"


def _check_words(out: Stream, check: ev.CheckResult) -> str:
    how = "timed out" if check.timed_out else f"exit {check.exit_code}"
    sign = out.paint("✓", "green") if check.ok else out.paint("✗", "red")
    return f"{sign} {clean(check.name)} ({how}, {render_duration(check.duration_s)}): {clean(check.command)}"


def _show_output(out: Stream, run_dir: Path, check: ev.CheckResult) -> None:
    """The whole output where its file is still there, else the end of it that the log holds."""
    try:
        with (run_dir / check.artifact).open("rb") as file:
            for line in file:
                out.line("    " + clean_block(line.decode("utf-8", "replace").rstrip("\n")))
    except OSError:
        if check.artifact:
            out.line("    (the file with all of it is gone; this is its end)")
        for text in clean_block(check.tail).rstrip("\n").split("\n"):
            out.line(f"    {text}")
