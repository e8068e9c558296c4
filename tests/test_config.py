"""Settings that cannot work are refused where they are made, by name: none may freeze an event loop later."""

from __future__ import annotations

import math
from typing import Any

import attrs
import pytest

from besmart_async import BatchPolicy, BesmartClient, BesmartConfigError, ReadPolicy, RetryPolicy, Timeouts

POLICIES: list[type[Any]] = [BatchPolicy, ReadPolicy, RetryPolicy, Timeouts]
SETTINGS = [
    pytest.param(cls, field, id=f"{cls.__name__}.{field.name}") for cls in POLICIES for field in attrs.fields(cls)
]
"""Every setting there is: a new one is tested without anybody having to think of it."""

NEVER: list[Any] = [-1, -0.5, math.nan, -math.inf, True, "5", [1], 1 + 0j]
NOT_WHOLE: list[Any] = [0, 1e3, 10.5, math.inf]


@pytest.mark.parametrize(("cls", "field"), SETTINGS)
def test_every_setting_refuses_what_is_no_such_number(cls: type[Any], field: attrs.Attribute[Any]) -> None:
    values = list(NEVER)
    if str(field.type).startswith("int"):
        values += NOT_WHOLE
    if "None" not in str(field.type):
        values.append(None)
    for value in values:
        with pytest.raises(BesmartConfigError) as caught:
            cls(**{field.name: value})
        assert str(caught.value).startswith(f"{cls.__name__}.{field.name}={value!r}: give a")


@pytest.mark.parametrize(
    "setting",
    ["linger_s", "hold_off_s", "initial_wait_s", "max_wait_s", "refusal_window_s"],
)
def test_a_wait_of_the_writer_that_never_ends_is_refused(setting: str) -> None:
    endless: dict[str, Any] = {setting: math.inf}
    with pytest.raises(BesmartConfigError, match=rf"BatchPolicy\.{setting}=inf"):
        BatchPolicy(**endless)


@pytest.mark.parametrize("policy", [ReadPolicy(), {"max_items": 5}, 500], ids=lambda policy: type(policy).__name__)
def test_a_writer_refuses_what_is_not_a_batch_policy(policy: Any) -> None:
    with pytest.raises(BesmartConfigError, match="give BatchPolicy"):
        BesmartClient(token="t").writer(policy)
