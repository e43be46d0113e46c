"""The scripted agent: a program that speaks Claude Code's stream-json and plays a script, at no cost.

Standard library only, and little of it: it starts as often as agents do. docs/scripted-agent.md is for its users.
"""
