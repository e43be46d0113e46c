"""Says things the way Claude Code says them: one JSON object a line, with running figures.

Field names and their order of appearance are those of 2.1.329. Invariant: every line that is meant to be one is whole.
"""

# pathlib would double the time that this program takes to start.
# ruff: noqa: PTH109
from __future__ import annotations

import json
import os
import time
from typing import Any

DEFAULT_USAGE = {"input": 1000, "output": 150, "cache_read": 3000, "cache_write": 200}
"""Tokens of one turn of the model."""


class Speech:
    """The agent's voice. turns: of the model so far in this process."""

    def __init__(self, session: str, model: str, permission_mode: str) -> None:
        self.session = session
        self.model = model
        self.permission_mode = permission_mode
        self.usage = dict(DEFAULT_USAGE)
        self.turn_cost: float | None = None
        self.turns = 0
        self.cost = 0.0
        self.tokens = dict.fromkeys(DEFAULT_USAGE, 0)
        self.denials: list[dict[str, Any]] = []
        self.results = 0
        self.started = time.monotonic()
        self._number = 0

    def emit(self, event: dict[str, Any]) -> None:
        event.setdefault("session_id", self.session)
        event["uuid"] = self._id("u")
        write_all(1, json.dumps(event, ensure_ascii=False).encode("utf-8", "replace") + b"\n")

    def init(self, version: str) -> None:
        self.emit(
            {
                "type": "system",
                "subtype": "init",
                "cwd": os.getcwd(),
                "tools": ["Bash", "Read", "Edit", "Write", "Glob", "Grep"],
                "mcp_servers": [],
                "model": self.model,
                "permissionMode": self.permission_mode,
                "apiKeySource": "none",
                "claude_code_version": version,
            }
        )

    def turn(self) -> None:
        """One call of the model is paid for."""
        u = self.usage
        self.turns += 1
        # US dollars a million tokens, as of a middling model
        rate = u["input"] * 2 + u["output"] * 10 + u["cache_read"] * 0.1 + u["cache_write"] * 2.5
        self.cost += rate / 1_000_000 if self.turn_cost is None else self.turn_cost
        for kind, count in u.items():
            self.tokens[kind] += count

    def text(self, text: str) -> None:
        self.turn()
        self._assistant({"type": "text", "text": text})

    def tool(self, name: str, tool_input: dict[str, Any]) -> str:
        """Returns the id that its result must carry."""
        self.turn()
        tool_id = self._id("toolu")
        self._assistant({"type": "tool_use", "id": tool_id, "name": name, "input": tool_input})
        return tool_id

    def tool_result(self, tool_id: str, content: str, *, is_error: bool = False) -> None:
        block = {"tool_use_id": tool_id, "type": "tool_result", "content": content, "is_error": is_error}
        self.emit({"type": "user", "message": {"role": "user", "content": [block]}, "parent_tool_use_id": None})

    def denied(self, tool: str, tool_id: str) -> None:
        message = f"Claude requested permissions to use {tool}, but you haven't granted it yet."
        self.denials.append({"tool_name": tool, "tool_use_id": tool_id, "tool_input": {}})
        self.emit({"type": "system", "subtype": "permission_denied", "tool_name": tool, "tool_use_id": tool_id})
        self.tool_result(tool_id, message, is_error=True)

    def api_error(self, category: str, status: int | None, code: str, text: str) -> None:
        content = [{"type": "text", "text": text}]
        message = {"id": self._id("msg"), "model": "<synthetic>", "role": "assistant", "content": content}
        event = {"type": "assistant", "message": message, "parent_tool_use_id": None, "error": category}
        self.emit({**event, "is_api_error_message": True, "api_error_status": status, "api_error": code or None})

    def result(self, **fields: Any) -> None:
        t = self.tokens
        usage = {
            "inputTokens": t["input"],
            "outputTokens": t["output"],
            "cacheReadInputTokens": t["cache_read"],
            "cacheCreationInputTokens": t["cache_write"],
            "costUSD": self.cost,
        }
        event: dict[str, Any] = {
            "type": "result",
            "subtype": "success",
            "is_error": False,
            "duration_ms": round((time.monotonic() - self.started) * 1000),
            "num_turns": self.turns,
            "total_cost_usd": self.cost,
            "stop_reason": "end_turn",
            "terminal_reason": "completed",
            "api_error_status": None,
            "permission_denials": self.denials,
            "modelUsage": {self.model: usage},
            "model_usage_since_last_result": {self.model: usage} if self.cost or any(t.values()) else {},
            "result_index": self.results,
        }
        event.update(fields)
        self.emit(event)
        self.results += 1
        self.turns, self.cost, self.tokens = 0, 0.0, dict.fromkeys(DEFAULT_USAGE, 0)
        self.denials = []

    def _assistant(self, block: dict[str, Any]) -> None:
        u = self.usage
        usage = {
            "input_tokens": u["input"],
            "cache_creation_input_tokens": u["cache_write"],
            "cache_read_input_tokens": u["cache_read"],
            "output_tokens": 1,  # what a message starts with, as with the real one
        }
        message = {"id": self._id("msg"), "type": "message", "role": "assistant", "model": self.model}
        self.emit(
            {
                "type": "assistant",
                "message": {**message, "content": [block], "stop_reason": None, "usage": usage},
                "parent_tool_use_id": None,
            }
        )

    def _id(self, kind: str) -> str:
        self._number += 1
        return f"{kind}_{os.getpid():x}{self._number:06x}"


def write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
