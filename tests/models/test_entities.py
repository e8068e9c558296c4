"""Keys, queries and entities: their texts, checks, order, copies."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import attrs
import numpy as np
import pytest

from besmart_async import (
    GraphOutput,
    GraphResult,
    InvalidInputError,
    MeterType,
    Sensor,
    SensorKey,
    SensorState,
    SensorType,
    SignalKey,
    SignalQuery,
    SignalState,
    SignalType,
    Token,
)

KEY = SignalKey(12, 122, 32)
COLUMN = np.array([1.0])
ENTITIES = [
    SensorKey(12, 122),
    KEY,
    SignalQuery(KEY, 0, 1.5, get_last=True, filters={"a": [1]}),
    Sensor(client_cid=1, sensor_mid=2, info={"a": 1}, extra={"b": 2}),
    SensorType(id=1),
    MeterType(id=1),
    SignalType(signal_type_moid=32),
    SensorState(signal_states=(SignalState(signal_state_id=1),)),
    Token(token="t", expiration=1.5, user_id=1),
    GraphOutput(time=COLUMN, value=COLUMN, type="DBL", origin=None, key=KEY),
    GraphResult(status=200, value={"a": None}, text="x"),
]


@pytest.mark.parametrize("entity", ENTITIES, ids=lambda entity: type(entity).__name__)
@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda entity: pickle.loads(pickle.dumps(entity))])
def test_a_copy_is_equal_and_frozen(entity: Any, again: Callable[[Any], Any]) -> None:
    twin = again(entity)
    assert twin == entity
    assert repr(twin) == repr(entity)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        setattr(twin, attrs.fields(type(entity))[0].name, None)


def test_keys_are_written_and_parsed() -> None:
    assert (str(SensorKey(12, 122)), str(KEY)) == ("12.122", "12.122.32")
    assert (SensorKey.parse("12.122"), SignalKey.parse("12.122.32")) == (SensorKey(12, 122), KEY)
    assert (KEY.sensor, SensorKey(12, 122).signal(32)) == (SensorKey(12, 122), KEY)


def test_keys_are_ordered_and_hashed_by_their_parts() -> None:
    keys = [SignalKey(2, 1, 1), SignalKey(1, 10, 1), SignalKey(1, 2, 3), SignalKey(1, 2, 1)]
    assert [str(key) for key in sorted(keys)] == ["1.2.1", "1.2.3", "1.10.1", "2.1.1"]
    assert len({SignalKey(1, 2, 3), SignalKey(np.int64(1), 2, 3), SignalKey.parse("1.2.3")}) == 1  # type: ignore[arg-type]


def test_a_signal_key_is_found_again_however_it_was_copied() -> None:
    copies = [pickle.loads(pickle.dumps(KEY)), copy.copy(KEY), copy.deepcopy(KEY), attrs.evolve(KEY)]
    assert {*copies, KEY} == {KEY}
    assert attrs.asdict(KEY) == {"client_cid": 12, "sensor_mid": 122, "signal_type_moid": 32}
    assert hash(attrs.evolve(KEY, sensor_mid=123)) == hash(SignalKey(12, 123, 32))


@pytest.mark.parametrize(
    "text",
    ["", "12", "12.122", "12.122.32.1", "12.122.x", "12..32", " 12.122.32", "12.122.32\n", "-1.2.3", "1.2.1e3",
     "1.2.٣", "1.2." + "9" * 19, "1.2." + "9" * 5000, None, 5, b"1.2.3"],
)  # fmt: skip
def test_a_text_that_is_no_key_is_refused(text: Any) -> None:
    with pytest.raises(InvalidInputError):
        SignalKey.parse(text)


def test_a_query_can_be_asked_for_another_window() -> None:
    query = SignalQuery(KEY, 0, 10, delta_t=60)
    assert query.within(5, 6) == SignalQuery(KEY, 5, 6, delta_t=60)
    with pytest.raises(InvalidInputError, match="after till=5"):
        query.within(6, 5)
    assert SignalQuery(KEY, 5, 5).since == 5, "an instant is a window"


def test_a_sensor_tells_its_key_if_it_has_one() -> None:
    assert Sensor(client_cid=1, sensor_mid=2).key == SensorKey(1, 2)
    assert Sensor(client_cid=1).key is None


def test_a_token_is_not_in_its_repr() -> None:
    assert "s3cret" not in repr(Token(token="s3cret", extra={"token": "s3cret"}))
