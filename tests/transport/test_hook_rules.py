"""Hooks that would never run are refused where they are given, by one rule for clients, readers and writers."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import pytest

from besmart_async.client import BesmartClient
from besmart_async.errors import BesmartConfigError
from besmart_async.transport.events import Hooks


async def on_event(event: object) -> None:
    """Do something later."""


async def on_each(event: object) -> AsyncIterator[object]:
    yield event


class AsyncObject:
    async def __call__(self, event: object) -> None:
        """Do something later."""

    async def method(self, event: object) -> None:
        """Do something later."""


class PlainObject:
    def __init__(self) -> None:
        self.events: list[object] = []

    def __call__(self, event: object) -> None:
        self.events.append(event)


ASYNC: list[Any] = [on_event, on_each, AsyncObject(), AsyncObject().method, partial(on_event), partial(AsyncObject())]
NOT_HOOKS: list[Any] = [[1], "events", on_event, 7]


@pytest.mark.parametrize("hook", ASYNC, ids=["function", "generator", "object", "method", "partial", "partial object"])
def test_an_async_hook_is_refused_by_client_and_reader(hook: Any) -> None:
    with pytest.raises(BesmartConfigError, match="not async ones"):
        BesmartClient(token="t", hooks=[hook])
    with pytest.raises(BesmartConfigError, match="not async ones"):
        BesmartClient(token="t").reader(hooks=[hook])


@pytest.mark.parametrize("hooks", NOT_HOOKS, ids=lambda hooks: type(hooks).__name__)
def test_what_cannot_be_called_with_an_event_is_refused(hooks: Any) -> None:
    with pytest.raises(BesmartConfigError, match="give a list of functions"):
        Hooks[object](hooks)
    with pytest.raises(BesmartConfigError, match="give a list of functions"):
        BesmartClient(token="t").reader(hooks=hooks)


def test_plain_functions_and_objects_are_called() -> None:
    plain, events = PlainObject(), list[object]()
    Hooks[object]([plain, events.append, partial(list.append, events)])("event")
    assert (plain.events, events) == (["event"], ["event", "event"])


def test_a_function_that_turns_out_to_be_async_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    events: list[object] = []
    Hooks[object]([lambda event: on_event(str(event)), events.append])("event")  # type: ignore[list-item]
    assert events == ["event"]
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert "returned a coroutine" in record.getMessage()
