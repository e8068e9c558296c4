"""The former place of `Writer`, for programs that import it from here; `besmart_async.Writer` is the public name."""

from besmart_async.batching.write.writer import Writer

__all__ = ["Writer"]
