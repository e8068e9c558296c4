"""PNG files: smaller, and with the name of the program that made them.

vl-convert compresses for speed, which makes a heat map six times as large as necessary.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_LEVEL = 6


def repacked(image: bytes, software: str) -> bytes:
    """Return the same image with its pixels compressed again; anything that is not a PNG stays as it is.

    Args:
        image: the file.
        software: what made it.
    """
    if not image.startswith(_SIGNATURE):
        return image
    chunks = list(_chunks(image))
    pixels = zlib.compress(zlib.decompress(b"".join(body for kind, body in chunks if kind == b"IDAT")), _LEVEL)
    found: list[tuple[bytes, bytes]] = []
    for kind, body in chunks:
        if kind != b"IDAT":
            found.append((kind, body))
            if kind == b"IHDR":
                found.append((b"tEXt", b"Software\0" + software.encode("latin-1")))
        elif pixels:
            found.append((kind, pixels))
            pixels = b""
    return _SIGNATURE + b"".join(map(_packed, found))


def _chunks(image: bytes) -> Iterator[tuple[bytes, bytes]]:
    place = len(_SIGNATURE)
    while place < len(image):
        length, kind = struct.unpack_from(">I4s", image, place)
        yield kind, image[place + 8 : place + 8 + length]
        place += length + 12


def _packed(chunk: tuple[bytes, bytes]) -> bytes:
    kind, body = chunk
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
