"""The stand-in for the service is itself what the real one is, as far as agents can tell."""

from __future__ import annotations

import http.client
import json
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.support.agent_api import AgentApi, Answer, runs, writes

TOOLS = [{"name": "Write"}]


def ask(url: str, *, stream: bool = False, timeout_s: float = 20.0, **body: object) -> tuple[int, str]:
    """Status and body of one request, as an agent in /work/tree makes it."""
    told = {"role": "user", "content": "Do it.\nPrimary working directory: /work/tree\n"}
    request = {"model": "m", "messages": [told], "tools": TOOLS, "stream": stream, **body}
    parts = urlsplit(url)
    assert parts.hostname is not None
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeout_s)
    try:
        headers = {"content-type": "application/json", "X-Claude-Code-Session-Id": "s1"}
        connection.request("POST", f"{parts.path}/v1/messages?beta=true", json.dumps(request), headers)
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


def events(body: str) -> list[dict[str, Any]]:
    return [json.loads(line.removeprefix("data: ")) for line in body.splitlines() if line.startswith("data: ")]


def test_each_route_plays_its_own_script_and_keeps_what_it_was_asked(agent_api: AgentApi) -> None:
    one = agent_api.play("one", Answer(text="first"), Answer(text="second", usage={"output_tokens": 7}))
    two = agent_api.play("two", Answer(text="other"))

    said = [json.loads(ask(url)[1])["content"][0]["text"] for url in (one, two, one)]

    assert said == ["first", "other", "second"]
    assert [asked.session for asked in agent_api.of("one")] == ["s1", "s1"]
    assert agent_api.usage("one")["output_tokens"] == 57
    assert agent_api.of("two")[0].said.startswith("Do it.")


def test_tools_are_called_in_the_agents_own_directory_whole_and_streamed(agent_api: AgentApi) -> None:
    url = agent_api.play("r", *[Answer(text="I write.", tools=(writes("a.txt", "hi"), runs("ls")))] * 2)

    whole = json.loads(ask(url)[1])
    streamed = events(ask(url, stream=True)[1])

    assert whole["stop_reason"] == "tool_use"
    assert [b["input"].get("file_path") for b in whole["content"][1:]] == ["/work/tree/a.txt", None]
    deltas = [e["delta"] for e in streamed if e["type"] == "content_block_delta"]
    assert deltas[0] == {"type": "text_delta", "text": "I write."}
    assert [json.loads(d["partial_json"]) for d in deltas[1:]] == [b["input"] for b in whole["content"][1:]]
    assert streamed[-2]["delta"]["stop_reason"] == "tool_use"
    assert streamed[-1]["type"] == "message_stop"


def test_what_a_tool_answered_is_read_from_the_conversation(agent_api: AgentApi) -> None:
    url = agent_api.play("r", Answer(text="ok"))
    result = {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": "Exit code 1"}]}

    ask(url, messages=[{"role": "user", "content": [result]}])

    assert agent_api.of("r")[0].tool_results == ("Exit code 1",)


def test_requests_beside_the_work_use_up_nothing(agent_api: AgentApi) -> None:
    url = agent_api.play("r", Answer(text="first"))

    assert "aside" in ask(url, tools=[])[1]
    assert "first" in ask(url)[1]
    assert "nothing left" in ask(url)[1]


def test_errors_have_their_status_and_headers(agent_api: AgentApi) -> None:
    url = agent_api.play("r", Answer(status=529, error=("overloaded_error", "Overloaded")))

    status, body = ask(url)

    assert status == 529
    assert json.loads(body)["error"] == {"type": "overloaded_error", "message": "Overloaded"}
    assert agent_api.usage("r")["input_tokens"] == 0


@pytest.mark.parametrize("when", ["before", "mid"])
def test_a_connection_is_cut_or_left_hanging(agent_api: AgentApi, when: Any) -> None:
    url = agent_api.play("r", Answer(text="never whole", cut=when), Answer(text="never whole", hang=when))

    with pytest.raises((ConnectionResetError, http.client.HTTPException)):
        ask(url, stream=True)
    with pytest.raises(TimeoutError):
        ask(url, stream=True, timeout_s=0.2)
