"""The codec of the scripted agent: Claude Code's words under another command line. Pure."""

from __future__ import annotations

from . import claude, claude_ending
from .codec import AgentRequest, Ending, ExitInfo, SpawnPlan
from .transcript import AgentEvent, Transcript


class ScriptedCodec:
    """See codec.Codec. The request's command ends with `--script FILE`."""

    name = "scripted"

    def spawn_plan(self, request: AgentRequest) -> SpawnPlan:
        real = claude.ClaudeCodec().spawn_plan(request)
        where = ("--feature", request.feature, "--attempt", str(request.attempt))
        argv = (*real.argv, *where, "--invocation", str(request.invocation))
        return SpawnPlan(argv, {"TERM": "dumb"}, real.stdin, real.keep_stdin_open, real.interrupt)

    def decode(self, line: bytes) -> tuple[AgentEvent, ...]:
        return claude.decode(line)

    def classify(self, transcript: Transcript, exit_info: ExitInfo) -> Ending:
        return claude_ending.classify(transcript, exit_info)
