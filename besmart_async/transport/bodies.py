"""Bodies of answers with a limit on their size, after decompression as well.

A few hundred bytes of gzip can stand for gigabytes. So a compressed body is unpacked piece by piece: the limit is
checked after each piece, and the event loop gets a turn in between. The client asks for gzip and deflate, once;
whatever else the service sends (another encoding, gzip within gzip) is refused.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator, Callable

import httpx

ERROR_BYTES = 64 << 10
"""So much of the body of an error is kept."""

ERROR_MARGIN_BYTES = 8 << 10
"""So much more of it is read: a secret at the end of what is kept must be recognized as a whole."""

_PIECE_BYTES = 256 << 10
"""Unpacking so much takes about a millisecond."""

_WINDOW_BITS = {"gzip": 31, "x-gzip": 31, "deflate": 15}
_RAW_DEFLATE = -15


class BodyTooLarge(Exception):  # noqa: N818 - it becomes a typed error in `HttpExchange`
    """The body has more bytes than the limit."""


def unpacked(answer: httpx.Response) -> AsyncIterator[bytes]:
    """Return the pieces of the body, unpacked; none is much larger than 256 KiB, however small it was when packed.

    Raises:
        httpx.DecodingError: it is not encoded as the answer says, or in a way that was not asked for.
    """
    assert isinstance(answer.stream, httpx.AsyncByteStream)  # noqa: S101 - httpx's own contract
    given = answer.headers.get("content-encoding", "")
    codings = [coding for part in given.split(",") if (coding := part.strip().lower()) not in {"", "identity"}]
    if not codings:
        return aiter(answer.stream)
    if len(codings) > 1 or codings[0] not in _WINDOW_BITS:
        raise httpx.DecodingError(f"its encoding is {given!r}, and gzip or deflate was asked for")
    return _inflated(answer.stream, _WINDOW_BITS[codings[0]])


async def _inflated(stream: httpx.AsyncByteStream, window_bits: int) -> AsyncIterator[bytes]:
    unpack = zlib.decompressobj(window_bits)
    begun = False
    async for packed in stream:
        if unpack.eof:
            continue  # what follows the end is dropped, not collected
        try:
            piece = unpack.decompress(packed, _PIECE_BYTES)
        except zlib.error as error:
            if begun or window_bits != _WINDOW_BITS["deflate"]:
                raise httpx.DecodingError(f"its body cannot be unpacked ({error})") from None
            unpack = zlib.decompressobj(_RAW_DEFLATE)  # "deflate" without the head of zlib, as many servers send it
            piece = _next_piece(unpack.decompress, packed)
        begun = begun or bool(packed)
        yield piece
        while not unpack.eof and (unpack.unconsumed_tail or len(piece) == _PIECE_BYTES):
            await asyncio.sleep(0)
            piece = _next_piece(unpack.decompress, unpack.unconsumed_tail)
            yield piece
    if begun and not unpack.eof:
        raise httpx.DecodingError("its body ends before its end")


def _next_piece(decompress: Callable[[bytes, int], bytes], packed: bytes) -> bytes:
    try:
        return decompress(packed, _PIECE_BYTES)
    except zlib.error as error:
        raise httpx.DecodingError(f"its body cannot be unpacked ({error})") from None
