"""The progress of several workers as one."""

from besmart_async.ingest import Progress
from besmart_async.ingest.progress import added


def test_counts_add_up_and_the_one_that_is_least_far_tells_how_far_it_is() -> None:
    fast = Progress(phase="verifying", file="b", bytes_read=10, bytes_total=10, rows_read=5, accepted=5, in_flight=1)
    slow = Progress(phase="sending", file="a", bytes_read=4, bytes_total=10, rows_read=2, accepted=1, paused="gone")
    both = added([fast, slow])
    assert (both.phase, both.file, both.bytes_read, both.bytes_total) == ("sending", "a", 4, 10)
    assert (both.rows_read, both.accepted, both.in_flight, both.paused) == (7, 6, 1, "gone")
