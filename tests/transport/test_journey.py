"""How many files one call passes through, and how often it moves from one to another: what a reader has to follow."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from types import FrameType

import besmart_async
from besmart_async import SignalKey
from tests.transport.fakes import raw, read_request, serving, token_client_of

PACKAGE = str(Path(besmart_async.__file__).parent)
KEY = b'"client_cid":1,"sensor_mid":2,"signal_type_moid":3'
ANSWER = b'[{%b,"data":{"time":[1],"value":[1.5],"type":["DBL"],"origin":[1]}}]' % KEY


class Journey:
    """Notes the file of each function of the package that is called, or resumed."""

    def __init__(self) -> None:
        self.files: list[str] = []

    def __call__(self, frame: FrameType, event: str, arg: object) -> None:
        file = frame.f_code.co_filename
        if event == "call" and file.startswith(PACKAGE) and self.files[-1:] != [file]:
            self.files.append(file)


async def answering(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        await read_request(reader)
        writer.write(raw(200, ANSWER))


async def test_a_read_passes_through_12_files_in_55_moves_at_most() -> None:
    journey = Journey()
    async with serving(answering) as url, token_client_of(None, base_url=url) as client:
        await client.signals.read(SignalKey(1, 2, 3), 0, 1)
        call = asyncio.create_task(client.signals.read(SignalKey(1, 2, 3), 0, 1))
        sys.setprofile(journey)
        try:
            data = await call
        finally:
            sys.setprofile(None)
    assert data.value.tolist() == [1.5]
    names = sorted({Path(file).relative_to(PACKAGE).as_posix() for file in journey.files})
    assert len(names) <= 12, names
    assert len(journey.files) <= 55
