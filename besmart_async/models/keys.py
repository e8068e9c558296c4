"""Keys of sensors and signals.

Source: the path parameters `{client_cid}.{sensor_mid}` and `{signal_type_moid}` of the API document.
"""

from __future__ import annotations

import operator
import re
from typing import Self, SupportsIndex

import attrs

from besmart_async.errors import InvalidInputError

_FORMS = {parts: re.compile(r"\.".join(["([0-9]{1,19})"] * parts)) for parts in (2, 3)}
_LARGEST = 2**63 - 1


def checked_id(field: str, value: object) -> int:
    """Return `value` if it is an integer id from 0 to 2**63 - 1.

    Raises:
        InvalidInputError: it is anything else, a bool included.
    """
    number = value if type(value) is int else _index(value)
    if number is None:
        raise InvalidInputError(field, value, "give an integer id")
    if not 0 <= number <= _LARGEST:
        raise InvalidInputError(field, value, "give an id from 0 to 2**63 - 1")
    return number


def _index(value: object) -> int | None:
    """Return integers of other types, such as numpy's, as int; a bool is refused."""
    if isinstance(value, bool) or not isinstance(value, SupportsIndex):
        return None
    try:
        return operator.index(value)
    except TypeError:  # numpy's bools and arrays have an __index__ that refuses
        return None


def _parse(text: object, parts: int, form: str) -> tuple[int, ...]:
    found = _FORMS[parts].fullmatch(text) if isinstance(text, str) else None
    if found is None:
        raise InvalidInputError("key", text, f"write it as {form}, such as {'.'.join(('12', '122', '32')[:parts])}")
    return tuple(map(int, found.groups()))


def _client_cid(value: int) -> int:
    return checked_id("client_cid", value)


def _sensor_mid(value: int) -> int:
    return checked_id("sensor_mid", value)


def _signal_type_moid(value: int) -> int:
    return checked_id("signal_type_moid", value)


def checked_key(value: SignalKey) -> SignalKey:
    """Return `value` if it is a `SignalKey`.

    Raises:
        InvalidInputError: it is anything else.
    """
    if isinstance(value, SignalKey):
        return value
    raise InvalidInputError("key", value, "give a SignalKey; SignalKey.parse('12.122.32') reads a text")


@attrs.frozen(order=True)
class SensorKey:
    """A sensor: `client_cid` and `sensor_mid`, both integers. `str()` gives `"12.122"`.

    Raises:
        InvalidInputError: a part is not an integer id.
    """

    client_cid: int = attrs.field(converter=_client_cid)
    sensor_mid: int = attrs.field(converter=_sensor_mid)

    def __str__(self) -> str:
        return f"{self.client_cid}.{self.sensor_mid}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `"12.122"`.

        Raises:
            InvalidInputError: the text has another form.
        """
        return cls(*_parse(text, 2, "client_cid.sensor_mid"))

    def signal(self, signal_type_moid: int) -> SignalKey:
        """Return the key of one of this sensor's signals."""
        return SignalKey(self.client_cid, self.sensor_mid, signal_type_moid)


class _Hashed:
    """Room for a hash: attrs would keep one in an object of its own, made when it is first asked for."""

    __slots__ = ("_hash",)
    _hash: int


@attrs.frozen(order=True)
class SignalKey(_Hashed):
    """A signal: `client_cid`, `sensor_mid` and `signal_type_moid`, all integers. `str()` gives `"12.122.32"`.

    Raises:
        InvalidInputError: a part is not an integer id.
    """

    client_cid: int = attrs.field(converter=_client_cid)
    sensor_mid: int = attrs.field(converter=_sensor_mid)
    signal_type_moid: int = attrs.field(converter=_signal_type_moid)

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "_hash", hash((self.client_cid, self.sensor_mid, self.signal_type_moid)))

    def __hash__(self) -> int:
        return self._hash

    def __reduce__(self) -> tuple[type[Self], tuple[int, int, int]]:
        return type(self), (self.client_cid, self.sensor_mid, self.signal_type_moid)

    def __str__(self) -> str:
        return f"{self.client_cid}.{self.sensor_mid}.{self.signal_type_moid}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `"12.122.32"`.

        Raises:
            InvalidInputError: the text has another form.
        """
        return cls(*_parse(text, 3, "client_cid.sensor_mid.signal_type_moid"))

    @property
    def sensor(self) -> SensorKey:
        """The key of the sensor this signal belongs to."""
        return SensorKey(self.client_cid, self.sensor_mid)
