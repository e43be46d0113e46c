"""Events ↔ (kind, JSON body): the form in which facts lie on disk. Pure.

Invariant: what was once written stays readable. A body always names every field, so that a later default cannot change
an old fact; a field that a body lacks takes its default; whatever a newer version added is refused, never dropped.
"""

from __future__ import annotations

import dataclasses
import json
import math
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from orchestrate.core import events as ev

Body = dict[str, typing.Any]
Upcaster = Callable[[Body], Body]
"""Turns the body of one version of a kind into that of the next."""

KINDS: Mapping[str, type[ev.Event]] = {
    "RunStarted": ev.RunStarted,
    "EngineStarted": ev.EngineStarted,
    "StopRequested": ev.StopRequested,
    "PauseRequested": ev.PauseRequested,
    "ResumeRequested": ev.ResumeRequested,
    "CancelRequested": ev.CancelRequested,
    "RetryRequested": ev.RetryRequested,
    "AnswerGiven": ev.AnswerGiven,
    "RunEnded": ev.RunEnded,
    "Warned": ev.Warned,
    "FeatureSkipped": ev.FeatureSkipped,
    "FeatureCancelled": ev.FeatureCancelled,
    "FeatureReopened": ev.FeatureReopened,
    "AttemptStarted": ev.AttemptStarted,
    "InvocationStarted": ev.InvocationStarted,
    "SealStarted": ev.SealStarted,
    "ChecksStarted": ev.ChecksStarted,
    "AttemptVerified": ev.AttemptVerified,
    "MergeStarted": ev.MergeStarted,
    "MergeChecksStarted": ev.MergeChecksStarted,
    "PublishStarted": ev.PublishStarted,
    "AttemptStopping": ev.AttemptStopping,
    "AttemptParked": ev.AttemptParked,
    "AttemptEnded": ev.AttemptEnded,
    "WorktreePrepared": ev.WorktreePrepared,
    "WorktreeFailed": ev.WorktreeFailed,
    "InvocationProgressed": ev.InvocationProgressed,
    "InvocationFinished": ev.InvocationFinished,
    "WorkSaved": ev.WorkSaved,
    "WorkSealed": ev.WorkSealed,
    "ChecksFinished": ev.ChecksFinished,
    "MergeFinished": ev.MergeFinished,
    "MergeChecksFinished": ev.MergeChecksFinished,
    "Published": ev.Published,
    "EffectLost": ev.EffectLost,
}
"""Names on disk. A class may be renamed; its name here may not."""

VERSIONS: Mapping[str, int] = {}
"""Current version of each kind whose body ever changed its shape; 1 for all others."""

UPCASTERS: Mapping[tuple[str, int], Upcaster] = {}
"""(kind, version) → function to the next version of its body."""

VERSION_KEY = "v"
"""Key in the body that holds its version, where that is not 1. No event has a field of this name (tested)."""


class UnreadableEventError(ValueError):
    """A stored event that this version cannot read. newer: because a newer version wrote it, not because it is damaged."""

    def __init__(self, what: str, *, newer: bool) -> None:
        super().__init__(what)
        self.newer = newer


@dataclass(frozen=True)
class Codec:
    """The tables above, as one value, so that tests can show how they will grow."""

    kinds: Mapping[str, type[ev.Event]]
    versions: Mapping[str, int]
    upcasters: Mapping[tuple[str, int], Upcaster]

    def encode(self, event: ev.Event) -> tuple[str, str]:
        """Event → (kind, body). `at` has a column of its own and is not in the body.

        The body is ASCII: lone surrogates survive as escapes. Not-a-number and infinities become text.
        """
        cls = type(event)
        kind = cls.__name__ if self.kinds.get(cls.__name__) is cls else self._kind_of(cls)
        body: Body = {name: getattr(event, name) for name in _field_names(cls) if name != "at"}
        version = self.versions.get(kind, 1)
        if version != 1:
            body[VERSION_KEY] = version
        try:
            return kind, _ENCODER.encode(body)
        except ValueError:
            return kind, _ENCODER.encode(_spell_out(body))

    def decode(self, kind: str, at: float, body: str) -> ev.Event:
        """(kind, at, body) → event. Raises UnreadableEventError, and nothing else."""
        cls = self.kinds.get(kind)
        if cls is None:
            raise UnreadableEventError(f"events of kind {kind!r} are unknown", newer=True)
        try:
            fields = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise UnreadableEventError(f"the body of a {kind} is no JSON: {error}", newer=False) from None
        if not isinstance(fields, dict):
            raise UnreadableEventError(f"the body of a {kind} is no object", newer=False)
        current = self.versions.get(kind, 1)
        version = fields.pop(VERSION_KEY, 1)
        if version != current:
            fields = self._upcast(kind, version, current, fields)
        fields["at"] = at
        event = _decoder(cls)(fields, kind)
        return typing.cast(ev.Event, event)

    def _upcast(self, kind: str, version: object, current: int, fields: Body) -> Body:
        if not isinstance(version, int) or version > current:
            raise UnreadableEventError(f"version {version} of {kind} is unknown (known: {current})", newer=True)
        for step in range(version, current):
            fields = self.upcasters[kind, step](fields)
        return fields

    def _kind_of(self, cls: type[ev.Event]) -> str:
        for kind, known in self.kinds.items():
            if known is cls:
                return kind
        raise TypeError(f"{cls.__name__} is not in the table of kinds")


# ── writing ──────────────────────────────────────────────────────────────────────────────────────────────────────


_FIELD_NAMES: dict[type, tuple[str, ...]] = {}


def _field_names(cls: type) -> tuple[str, ...]:
    names = _FIELD_NAMES.get(cls)
    if names is None:
        names = _FIELD_NAMES[cls] = tuple(field.name for field in dataclasses.fields(cls))
    return names


def _nested(value: object) -> Body:
    """Dataclass inside an event → object."""
    return {name: getattr(value, name) for name in _field_names(type(value))}


_ENCODER = json.JSONEncoder(separators=(",", ":"), allow_nan=False, default=_nested)


def _spell_out(value: object) -> object:
    """The slow way for the rare body with a figure that JSON cannot express."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {key: _spell_out(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_spell_out(item) for item in value]
    return _spell_out(_nested(value)) if dataclasses.is_dataclass(value) else value


# ── reading: one small function for each type, put together once for each class ─────────────────────────────────

Decode = Callable[[typing.Any, str], typing.Any]
"""(JSON value, where it stands) → value of the field's type; raises UnreadableEventError."""


def _wrong(value: object, where: str, expected: str) -> UnreadableEventError:
    return UnreadableEventError(f"{where} is {str(value)[:60]!r}, not {expected}", newer=False)


def _plain(expected: type) -> Decode:
    name = expected.__name__

    def decode(value: typing.Any, where: str) -> typing.Any:
        if type(value) is expected:
            return value
        raise _wrong(value, where, name)

    return decode


def _decode_float(value: typing.Any, where: str) -> float:
    if type(value) is float:
        return value
    if type(value) is int or value in ("nan", "inf", "-inf"):
        return float(value)
    raise _wrong(value, where, "a number")


def _decode_literal(allowed: tuple[object, ...]) -> Decode:
    known = frozenset(allowed)

    def decode(value: typing.Any, where: str) -> typing.Any:
        if isinstance(value, str) and value in known:
            return value
        raise UnreadableEventError(f"{where} is {str(value)[:60]!r}, which is unknown", newer=isinstance(value, str))

    return decode


def _decode_tuple(item: Decode) -> Decode:
    def decode(value: typing.Any, where: str) -> typing.Any:
        if type(value) is not list:
            raise _wrong(value, where, "a list")
        return tuple([item(each, where) for each in value])

    return decode


def _decode_optional(inner: Decode) -> Decode:
    def decode(value: typing.Any, where: str) -> typing.Any:
        return None if value is None else inner(value, where)

    return decode


def _decode_as(hint: typing.Any) -> Decode:
    """The function for one type hint. Raises TypeError for a type that events have not used so far."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint is float:
        return _decode_float
    if hint in (str, int, bool):
        return _plain(hint)
    if origin is typing.Literal:
        return _decode_literal(arguments)
    if origin is tuple and len(arguments) == 2 and arguments[1] is Ellipsis:
        return _decode_tuple(_decode_as(arguments[0]))
    if origin in (types.UnionType, typing.Union) and len(arguments) == 2 and arguments[1] is types.NoneType:
        return _decode_optional(_decode_as(arguments[0]))
    if dataclasses.is_dataclass(hint):
        return _decoder(typing.cast(type, hint))
    raise TypeError(f"no codec for {hint!r}")


_DECODERS: dict[type, Decode] = {}


def _decoder(cls: type) -> Decode:
    known = _DECODERS.get(cls)
    if known is None:
        known = _DECODERS[cls] = _build_decoder(cls)
    return known


def _build_decoder(cls: type) -> Decode:
    hints = typing.get_type_hints(cls)
    decoders = {field.name: _decode_as(hints[field.name]) for field in dataclasses.fields(cls)}
    as_it_is = {name: hint for name, hint in hints.items() if hint in (str, int, bool, float)}
    required = frozenset(
        field.name
        for field in dataclasses.fields(cls)
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    )

    def decode(value: typing.Any, where: str) -> typing.Any:
        """Takes the object over: it was made by json.loads for us alone, and most values in it are right as they are."""
        if type(value) is not dict:
            raise _wrong(value, where, "an object")
        for name, item in value.items():
            if as_it_is.get(name) is type(item):
                continue
            field = decoders.get(name)
            if field is None:
                raise UnreadableEventError(f"field {name!r} of {where} is unknown", newer=True)
            value[name] = field(item, name)
        if not required <= value.keys():
            missing = ", ".join(sorted(required - value.keys()))
            raise UnreadableEventError(f"{where} lacks {missing}", newer=False)
        return cls(**value)

    return decode


CODEC = Codec(KINDS, VERSIONS, UPCASTERS)
encode = CODEC.encode
decode = CODEC.decode
