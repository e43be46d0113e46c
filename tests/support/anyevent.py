"""Hypothesis: any event at all, with the texts and figures that codecs trip over."""

from __future__ import annotations

import dataclasses
import types
import typing

from hypothesis import strategies as st

from orchestrate.core.events import Event

AWKWARD_TEXT = st.text() | st.sampled_from(
    ["\ud800", "a\udfffb", "\x00", "\x1b[2J", "'; DROP TABLE event; --", "\u202e", "🙂"]
)
MOMENT = st.floats(min_value=0, max_value=4e9)


def any_event(cls: type[Event]) -> st.SearchStrategy[Event]:
    """Events of one class."""
    return _dataclass(cls, at=MOMENT)


def _dataclass(cls: type, **given: st.SearchStrategy[object]) -> st.SearchStrategy[typing.Any]:
    hints = typing.get_type_hints(cls)
    names = [field.name for field in dataclasses.fields(cls)]
    return st.builds(cls, **{name: given[name] if name in given else _of(hints[name]) for name in names})


def _of(hint: typing.Any) -> st.SearchStrategy[typing.Any]:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint is str:
        return AWKWARD_TEXT
    if origin is tuple:
        return st.lists(_of(arguments[0]), max_size=3).map(tuple)
    if origin is types.UnionType:
        return st.one_of([_of(each) for each in arguments])
    if dataclasses.is_dataclass(hint):
        return _dataclass(typing.cast(type, hint))
    return st.from_type(hint)
