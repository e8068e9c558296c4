"""Digests of files and of their beginnings."""

from hashlib import blake2b
from pathlib import Path

import pytest

from besmart_async.ingest.checkpoint.store import digest


@pytest.mark.parametrize("size", [0, 1, 1 << 20, (1 << 20) + 1, 3_000_000])
def test_a_beginning_has_the_digest_that_the_file_had_when_it_was_as_long(tmp_path: Path, size: int) -> None:
    content = bytes(range(256)) * (size // 256 + 1)
    path = tmp_path / "file"
    path.write_bytes(content[:size])
    whole = blake2b(content[:size], digest_size=20).hexdigest()
    assert (digest(path).size, digest(path).whole) == (size, whole)
    path.write_bytes(content[:size] + b"more")
    longer = digest(path, [size, size + 2, size + 5])
    assert longer.starts[size] == whole
    assert longer.starts.keys() == {size, size + 2}
    assert longer.whole != whole
