"""PNG files packed tighter."""

import struct
import zlib

from besmart_async.plots.png import repacked

SIGNATURE = b"\x89PNG\r\n\x1a\n"


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def test_the_pixels_are_the_same_and_take_less() -> None:
    pixels = zlib.compress(bytes(100_000), 0)
    parts = [chunk(b"IDAT", pixels[:500]), chunk(b"IDAT", pixels[500:])]
    image = SIGNATURE + chunk(b"IHDR", bytes(13)) + b"".join(parts) + chunk(b"IEND", b"")
    small = repacked(image, "us")
    assert len(small) < 1_000
    start = small.index(b"IDAT")
    length = struct.unpack(">I", small[start - 4 : start])[0]
    assert zlib.decompress(small[start + 4 : start + 4 + length]) == bytes(100_000)
    assert small.startswith(SIGNATURE + chunk(b"IHDR", bytes(13)) + chunk(b"tEXt", b"Software\0us"))
    assert small.endswith(chunk(b"IEND", b""))
    assert small.count(b"IDAT") == 1


def test_what_is_no_png_stays() -> None:
    assert repacked(b"something", "us") == b"something"
