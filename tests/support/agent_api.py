"""A stand-in for the Anthropic Messages API on loopback: plays a script a route, and keeps everything that it was asked.

Invariant: a request is recorded before it is answered, so that who has an answer finds the question in `asked`.
https://docs.claude.com/en/api/messages and …/messages-streaming
"""

from __future__ import annotations

import json
import re
import socket
import struct
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal
from urllib.parse import urlsplit

Json = dict[str, Any]

USAGE = {
    "input_tokens": 1000,
    "cache_creation_input_tokens": 200,
    "cache_read_input_tokens": 3000,
    "output_tokens": 50,
}
"""Tokens of an answer that says nothing else of them."""


# ── what is played ───────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Tool:
    """A call that the model makes. `@CWD@` in the input becomes the agent's working directory."""

    name: str
    input: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer of the model, or one way of giving none.

    status other than 200: an error of that status with `error` = (type, message). delay_s: seconds before anything is
    sent. hang: no answer at all, or silence after the first piece of text, until the server ends. cut: the same, but
    the connection is reset.
    """

    text: str = ""
    tools: tuple[Tool, ...] = ()
    usage: Mapping[str, int] = field(default_factory=dict)
    stop_reason: str = ""
    status: int = 200
    error: tuple[str, str] = ("api_error", "scripted")
    headers: Mapping[str, str] = field(default_factory=dict)
    delay_s: float = 0.0
    hang: Literal["", "before", "mid"] = ""
    cut: Literal["", "before", "mid"] = ""

    @property
    def is_given(self) -> bool:
        """Whether it is an answer, and reaches the agent in full."""
        return self.status == 200 and not self.hang and not self.cut

    @property
    def tokens(self) -> dict[str, int]:
        return {**USAGE, **self.usage}


SPENT = Answer(text="There is nothing left in the script.")
"""Given once a route's answers are used up."""

ASIDE = Answer(text="aside", usage=dict.fromkeys(USAGE, 0))
"""Given to requests that offer no tools: titles, probes of the connection. They use up nothing of the script."""


def writes(path: str, text: str) -> Tool:
    """The agent writes a file in its worktree."""
    return Tool("Write", {"file_path": f"@CWD@/{path}", "content": text})


def runs(command: str) -> Tool:
    """The agent runs a command in its shell."""
    return Tool("Bash", {"command": command, "description": "Run a command"})


# ── what was asked ───────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Asked:
    """One request. route: of the base URL it came to; step: number of the answer it got, from 0; -1: an aside."""

    route: str
    session: str
    step: int
    answer: Answer
    headers: Mapping[str, str]
    body: Json

    @property
    def said(self) -> str:
        """All text of the conversation's user so far: prompts, feedback, reminders."""
        return "\n".join(block["text"] for block in self._blocks("text"))

    @property
    def tool_results(self) -> tuple[str, ...]:
        """What the agent's tools answered so far, oldest first."""
        return tuple(_flat(block.get("content")) for block in self._blocks("tool_result"))

    def _blocks(self, kind: str) -> Iterator[Json]:
        for message in self.body.get("messages", []):
            if message["role"] != "user":
                continue
            content = message["content"]
            blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
            yield from (block for block in blocks if block["type"] == kind)


def _flat(content: object) -> str:
    if isinstance(content, list):
        return "\n".join(str(block.get("text", "")) for block in content)
    return str(content or "")


# ── the server ───────────────────────────────────────────────────────────────────────────────────────────────────


class AgentApi:
    """Scripts by route, and the record. Safe to use from the test while agents ask."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.asked: list[Asked] = []
        self.closing = threading.Event()
        self._scripts: dict[str, tuple[Answer, ...]] = {}
        self._changed = threading.Condition()

    def play(self, route: str, *answers: Answer) -> str:
        """Set the script of a route; returns the base URL that leads to it."""
        self._scripts[route] = answers
        return f"http://127.0.0.1:{self.port}/s/{route}"

    def of(self, route: str) -> list[Asked]:
        """The requests of that route which used up an answer, in order."""
        return [asked for asked in self.asked if asked.route == route and asked.step >= 0]

    def usage(self, route: str) -> dict[str, int]:
        """Tokens of all answers that the route gave in full, by the API's names."""
        given = [asked.answer.tokens for asked in self.asked if asked.route == route and asked.answer.is_given]
        return {kind: sum(tokens[kind] for tokens in given) for kind in USAGE}

    def wait_for(self, route: str, requests: int, timeout_s: float = 60.0) -> None:
        """Until that many requests of the route's script have come. Raises TimeoutError."""
        with self._changed:
            if not self._changed.wait_for(lambda: len(self.of(route)) >= requests, timeout_s):
                raise TimeoutError(f"{route}: {len(self.of(route))} of {requests} requests after {timeout_s:g} s")

    def take(self, route: str, headers: Mapping[str, str], body: Json) -> Asked:
        """The question, recorded, with the next answer of the route's script."""
        with self._changed:
            script = self._scripts.get(route, ())
            step = len(self.of(route))
            is_aside = not body.get("tools")
            answer = ASIDE if is_aside else script[step] if step < len(script) else SPENT
            session = headers.get("x-claude-code-session-id", "")
            asked = Asked(route, session, -1 if is_aside else step, answer, headers, body)
            self.asked.append(asked)
            self._changed.notify_all()
        return asked


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    api: AgentApi


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def handle(self) -> None:
        with suppress(ConnectionError):  # agents are killed in the middle of an answer
            super().handle()

    def finish(self) -> None:
        with suppress(ConnectionError, ValueError):
            super().finish()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name is the standard library's
        pass

    def do_HEAD(self) -> None:
        self._send(200, b"")

    def do_GET(self) -> None:
        self._send_error(404, ("not_found_error", self.path))

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        path = urlsplit(self.path).path
        route = re.fullmatch(r"/s/([^/]+)/v1/messages", path)
        if route is None:
            self._send_error(404, ("not_found_error", path))
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        asked = self.server.api.take(route[1], headers, body)
        answer = asked.answer
        if answer.delay_s and self.server.api.closing.wait(answer.delay_s):
            return
        if answer.hang == "before":
            self._hang()
        elif answer.cut == "before":
            self._cut()
        elif answer.status != 200:
            self._send_error(answer.status, answer.error, answer.headers)
        elif body.get("stream"):
            self._stream(asked)
        else:
            whole = {**_message(asked), "content": _content(asked), "stop_reason": _stop_reason(answer)}
            self._send(200, json.dumps({**whole, "usage": answer.tokens}).encode(), answer.headers)

    # ── one answer ───────────────────────────────────────────────────────────────────────────────────────────────

    def _stream(self, asked: Asked) -> None:
        answer = asked.answer
        self.close_connection = True
        self._head(200, {"content-type": "text/event-stream", "connection": "close", **answer.headers})
        begun = {**_message(asked), "content": [], "stop_reason": None, "usage": {**answer.tokens, "output_tokens": 1}}
        self._event("message_start", message=begun)
        for index, block in enumerate(_content(asked)):
            empty, delta = _as_delta(block)
            self._event("content_block_start", index=index, content_block=empty)
            self._event("content_block_delta", index=index, delta=delta)
            if answer.hang == "mid":
                self._hang()
                return
            if answer.cut == "mid":
                self._cut()
                return
            self._event("content_block_stop", index=index)
        stop = {"stop_reason": _stop_reason(answer), "stop_sequence": None}
        self._event("message_delta", delta=stop, usage={"output_tokens": answer.tokens["output_tokens"]})
        self._event("message_stop")

    def _event(self, kind: str, **data: object) -> None:
        self.wfile.write(f"event: {kind}\ndata: {json.dumps({'type': kind, **data})}\n\n".encode())
        self.wfile.flush()

    def _hang(self) -> None:
        self.close_connection = True
        self.server.api.closing.wait()

    def _cut(self) -> None:
        """Reset rather than close: what a proxy that dies looks like."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def _send_error(self, status: int, error: tuple[str, str], headers: Mapping[str, str] | None = None) -> None:
        body = {"type": "error", "error": {"type": error[0], "message": error[1]}}
        self._send(status, json.dumps(body).encode(), headers)

    def _send(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        self._head(status, {"content-type": "application/json", "content-length": str(len(body)), **(headers or {})})
        self.wfile.write(body)

    def _head(self, status: int, headers: Mapping[str, str]) -> None:
        self.send_response_only(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()


def _message(asked: Asked) -> Json:
    name = f"msg_{asked.route}_{asked.step}"
    return {"id": name, "type": "message", "role": "assistant", "model": asked.body["model"], "stop_sequence": None}


def _stop_reason(answer: Answer) -> str:
    return answer.stop_reason or ("tool_use" if answer.tools else "end_turn")


def _content(asked: Asked) -> Sequence[Json]:
    answer = asked.answer
    blocks: list[Json] = [{"type": "text", "text": answer.text}] if answer.text else []
    for number, tool in enumerate(answer.tools):
        tool_input = json.dumps(tool.input)
        if "@CWD@" in tool_input:
            tool_input = tool_input.replace("@CWD@", _working_directory(asked.body))
        name = f"toolu_{asked.route}_{asked.step}_{number}"
        blocks.append({"type": "tool_use", "id": name, "name": tool.name, "input": json.loads(tool_input)})
    return blocks


def _as_delta(block: Json) -> tuple[Json, Json]:
    """A block of content as it is streamed: how it begins, and the rest in one piece."""
    if block["type"] == "text":
        return {"type": "text", "text": ""}, {"type": "text_delta", "text": block["text"]}
    return {**block, "input": {}}, {"type": "input_json_delta", "partial_json": json.dumps(block["input"])}


def _working_directory(body: Json) -> str:
    """The agent tells the model where it is; newer versions in the first message, older ones in the system prompt."""
    told = json.dumps([body.get("system"), body["messages"][0]])
    found = re.search(r"(?i)working directory: ([^\s\"\\]+)", told)
    if found is None:
        raise AssertionError("the agent does not say in which directory it works")
    return found[1]


@contextmanager
def serve_agent_api() -> Iterator[AgentApi]:
    """A server on a free port of loopback, for as long as the block lasts."""
    with _Server(("127.0.0.1", 0), _Handler) as server:
        server.api = AgentApi(server.server_port)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, name="agent-api")
        thread.start()
        try:
            yield server.api
        finally:
            server.api.closing.set()
            server.shutdown()
            thread.join()
