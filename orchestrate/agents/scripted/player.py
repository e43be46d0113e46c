"""Plays the steps of a script: works in the directory, says so, and ends as the script wants.

Invariant: signals and `interrupt` requests take effect between two lines, never inside one.
"""

# pathlib would double the time that this program takes to start.
# ruff: noqa: PTH100, PTH101, PTH103, PTH104, PTH108, PTH110, PTH120
from __future__ import annotations

import os
import time
from typing import Any

from .listening import Ears, Ended
from .script import Play, ScriptError
from .speech import Speech, write_all

OUTPUT_LIMIT = 30_000
"""Characters of a command's output that are said."""

TAKEN = frozenset({"class", "input", "hex", "bytes"})
"""Fields whose names mean something else in Python; the methods take them with an underscore."""

# class: (assistant.error, HTTP status, api_error, words)
FAILURES: dict[str, tuple[str, int | None, str, str]] = {
    "529": ("server_error", 529, "", "API Error: 529 Overloaded. This is a server-side issue, usually temporary"),
    "500": ("server_error", 500, "", "API Error: 500 Internal server error"),
    "connection": ("server_error", None, "connection_failed", "API Error: Connection dropped (ECONNRESET)"),
    "429": ("rate_limit", 429, "", "API Error: Request rejected (429)"),
    "limit": ("rate_limit", 429, "usage_limit_reached", "You've hit your 5-hour limit"),
    "auth": ("authentication_failed", 401, "", "Invalid API key · Fix external API key"),
    "billing": ("billing_error", 400, "", "Credit balance is too low"),
    "model": ("model_not_found", 404, "", "There's an issue with the selected model. It may not exist"),
    "too_long": ("invalid_request", 400, "", "Prompt is too long"),
    "max_tokens": ("max_output_tokens", None, "max_output_tokens", "API Error: the response exceeded the maximum"),
}
_LIMITS = {"max_turns": "Reached maximum number of turns", "budget": "Reached maximum budget"}


class Stop(Exception):
    """The play is over before its last step. code: exit code."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class Player:
    def __init__(self, speech: Speech, ears: Ears, prompt: str, max_turns: int, max_cost: float) -> None:
        self.speech, self.ears, self.prompt = speech, ears, prompt
        self.max_turns, self.max_cost = max_turns, max_cost
        self.last_said = ""
        self.has_result = False
        self.is_last = False
        """No further prompt is answered."""

    def play(self, steps: Play) -> int:
        """Play to the end. Returns the exit code, once a result has been said or the script has said `exit`."""
        try:
            for name, fields in steps:
                self.ears.listen(0)
                getattr(self, f"_{name}")(**{f"{k}_" if k in TAKEN else k: v for k, v in fields.items()})
                self._stay_within_limits()
            if not self.has_result:
                if not self.last_said:
                    self._say("Done.")
                    self._stay_within_limits()
                self._result(self.last_said)
        except Stop as stop:
            self.is_last = True
            return stop.code
        except Ended as ended:
            self.is_last = True
            return self._give_way(ended)
        return 0

    def _give_way(self, ended: Ended) -> int:
        """Interrupted: a result says so, as with the real one; SIGTERM ends without a word."""
        if ended.how == "SIGTERM":
            return 143
        self.speech.result(
            subtype="error_during_execution",
            is_error=True,
            terminal_reason="aborted_tools",
            errors=["interrupted"],
            stop_reason="tool_use",
        )
        return 0 if ended.how == "SIGINT" else 1

    def _stay_within_limits(self) -> None:
        if self.max_turns and self.speech.turns > self.max_turns:
            self._fail("max_turns")
        if self.max_cost and self.speech.cost > self.max_cost:
            self._fail("budget")

    # ── work ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _say(self, text: str) -> None:
        self.last_said = text
        self.speech.text(text)

    def _write(self, path: str, text: str, mode: str = "") -> None:
        tool = self.speech.tool("Write", {"file_path": os.path.abspath(path), "content": text})
        self._put(path, text, "w")
        if mode:
            os.chmod(path, int(mode, 8))
        self.speech.tool_result(tool, f"File created successfully at: {path}")

    def _append(self, path: str, text: str) -> None:
        tool = self.speech.tool("Edit", {"file_path": os.path.abspath(path), "old_string": "", "new_string": text})
        self._put(path, text, "a")
        self.speech.tool_result(tool, f"The file {path} has been updated.")

    def _edit(self, path: str, find: str, replace: str) -> None:
        change = {"file_path": os.path.abspath(path), "old_string": find, "new_string": replace}
        tool = self.speech.tool("Edit", change)
        try:
            with open(path, encoding="utf-8", newline="") as f:
                before = f.read()
        except (OSError, ValueError) as error:
            raise ScriptError(f"edit {path}: {error}") from error
        if find not in before:
            raise ScriptError(f"edit {path}: there is no {find!r} in it")
        self._put(path, before.replace(find, replace, 1), "w")
        self.speech.tool_result(tool, f"The file {path} has been updated.")

    def _put(self, path: str, text: str, mode: str) -> None:
        try:
            os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
            with open(path, mode, encoding="utf-8", newline="") as f:
                f.write(text)
        except OSError as error:
            raise ScriptError(f"write {path}: {error.strerror}") from error

    def _delete(self, path: str) -> None:
        tool = self.speech.tool("Bash", {"command": f"rm {path}", "description": "Delete a file"})
        try:
            os.unlink(path)
        except OSError as error:
            raise ScriptError(f"delete {path}: {error.strerror}") from error
        self.speech.tool_result(tool, "")

    def _run(self, command: str) -> None:
        tool = self.speech.tool("Bash", {"command": command})
        code, output = self.ears.run_command(["/bin/sh", "-c", command])
        text = output.decode("utf-8", "replace")[:OUTPUT_LIMIT]
        self.speech.tool_result(tool, f"Exit code {code}\n{text}" if code else text, is_error=code != 0)

    def _commit(self, message: str) -> None:
        """Under the user's identity, or our own where there is none."""
        known, _ = self.ears.run_command(["git", "config", "user.email"])
        ours = "" if known == 0 else " -c user.name=Agent -c user.email=agent@localhost"
        quoted = message.replace("'", "'\\''")
        self._run(f"git add -A && git{ours} commit -q -m '{quoted}'")

    def _tool(self, name: str, input_: dict[str, Any] | None = None, output: str = "", error: bool = False) -> None:
        self.speech.tool_result(self.speech.tool(name, input_ or {}), output, is_error=error)

    def _deny(self, tool: str) -> None:
        self.speech.denied(tool, self.speech.tool(tool, {}))

    # ── time ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _wait(self, seconds: float) -> None:
        self.ears.listen(seconds)

    def _wait_for(self, path: str, seconds: float = 60.0) -> None:
        until = time.monotonic() + seconds
        while not os.path.exists(path):
            if time.monotonic() >= until:
                raise ScriptError(f"wait_for {path}: not there after {seconds:g} s")
            self.ears.listen(0.02)

    def _hang(self, seconds: float = 1e9, during_tool: bool = False) -> None:
        if during_tool:
            self.speech.tool("Bash", {"command": "sleep infinity"})
        self.ears.listen(seconds)

    # ── the service ──────────────────────────────────────────────────────────────────────────────────────────────

    def _usage(self, cost: float | None = None, input_: int | None = None, **tokens: int) -> None:
        """Of every turn from here on."""
        self.speech.usage.update(tokens if input_ is None else {**tokens, "input": input_})
        self.speech.turn_cost = cost if cost is not None else self.speech.turn_cost

    def _retry(self, seconds: float, status: int = 529, wait: bool = True) -> None:
        fields = {"attempt": 1, "max_retries": 3, "retry_delay_ms": seconds * 1000, "error_status": status}
        self.speech.emit({"type": "system", "subtype": "api_retry", **fields, "error": "overloaded"})
        if wait:
            self.ears.listen(seconds)

    def _rate_limit(
        self,
        resets_in: float = 3600.0,
        status: str = "rejected",
        kind: str = "five_hour",
        utilization: float | None = None,
    ) -> None:
        info = {"status": status, "resetsAt": int(time.time() + resets_in), "rateLimitType": kind}
        if utilization is not None:
            info["utilization"] = utilization
        self.speech.emit({"type": "rate_limit_event", "rate_limit_info": info})

    # ── ends ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _result(self, text: str = "", fields: dict[str, Any] | None = None) -> None:
        self.speech.result(**{"result": text or self.last_said, **(fields or {})})
        self.has_result = True

    def _fail(self, class_: str, resets_in: float | None = None) -> None:
        if class_ in _LIMITS:
            subtype = "error_max_turns" if class_ == "max_turns" else "error_max_budget_usd"
            errors = [f"{_LIMITS[class_]} ({self.max_turns if class_ == 'max_turns' else f'${self.max_cost:g}'})"]
            self.speech.result(subtype=subtype, is_error=True, errors=errors, terminal_reason=class_)
            raise Stop(1)
        if class_ not in FAILURES:
            raise ScriptError(f"fail: unknown class {class_!r}; known are {', '.join([*FAILURES, *_LIMITS])}")
        category, status, code, words = FAILURES[class_]
        if class_ == "limit":
            self._rate_limit(3600.0 if resets_in is None else resets_in)
        if class_ == "429":
            self._retry(0.0, 429)
        self.speech.api_error(category, status, code, words)
        fields = {"result": words, "api_error_status": status, "stop_reason": "stop_sequence"}
        self.speech.result(is_error=True, terminal_reason="api_error", api_error=code or None, **fields)
        raise Stop(1)

    def _exit(self, code: int) -> None:
        raise Stop(code)

    def _signal(self, name: str) -> None:
        import signal

        number = getattr(signal, name if name.startswith("SIG") else f"SIG{name}", None)
        if number is None:
            raise ScriptError(f"signal: there is no {name!r}")
        if number not in (signal.SIGKILL, signal.SIGSTOP):
            signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    # ── misbehaviour ─────────────────────────────────────────────────────────────────────────────────────────────

    def _garbage(self, text: str = "", hex_: str = "", times: int = 1) -> None:
        try:
            data = bytes.fromhex(hex_) if hex_ else text.encode("utf-8", "surrogatepass") + b"\n"
        except ValueError as error:
            raise ScriptError(f"garbage.hex: {error}") from error
        for _ in range(times):
            write_all(1, data)

    def _line(self, bytes_: int) -> None:
        self._say("x" * bytes_)

    def _flood(self, mb: float, to: str = "stdout") -> None:
        if to == "stderr":
            for _ in range(int(mb * 16)):
                self.ears.listen(0)
                write_all(2, b"x" * 65_535 + b"\n")
            return
        for _ in range(int(mb * 64)):
            self.ears.listen(0)
            self.speech.tool_result("toolu_flood", "x" * 16_000)

    def _ignore_signals(self) -> None:
        self.ears.ignore = True

    def _close_output(self) -> None:
        os.close(1)

    def _daemon(self, seconds: float = 600.0, pid_file: str = "", hold_output: bool = False) -> None:
        """A process that leaves our group and outlives us."""
        first = os.fork()
        if first:
            os.waitpid(first, 0)
            return
        os.setsid()
        if os.fork():
            os._exit(0)
        if pid_file:
            with open(f"{pid_file}.new", "w") as f:
                f.write(str(os.getpid()))
            os.rename(f"{pid_file}.new", pid_file)
        if not hold_output:
            null = os.open(os.devnull, os.O_RDWR)
            for fd in (0, 1, 2):
                os.dup2(null, fd)
        # A program of its own: what is found by its environment must have it from its start, as real ones do.
        os.execv("/bin/sh", ["/bin/sh", "-c", f"trap '' TERM INT HUP; sleep {seconds:g}"])  # noqa: S606 - a daemon is what is asked for

    def _expect(self, prompt: str) -> None:
        if prompt not in self.prompt:
            raise ScriptError(f"expect: the prompt does not contain {prompt!r}; it begins: {self.prompt[:200]!r}")

    def _save_prompt(self, path: str) -> None:
        self._put(path, self.prompt, "w")
