"""Hands out playbooks, and sees to it that each is told to its end."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from .playbook import Playbook, build_playbook


@pytest.fixture
def playbook() -> Iterator[Callable[..., Playbook]]:
    told: list[Playbook] = []

    def build(*args: object, **kwargs: object) -> Playbook:
        told.append(build_playbook(*args, **kwargs))  # type: ignore[arg-type]
        return told[-1]

    yield build
    for book in told:
        book.finish()
