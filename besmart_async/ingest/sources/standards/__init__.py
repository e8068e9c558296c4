"""Formats of the energy market, which say themselves whose, what, when and how good their readings are."""

from besmart_async.ingest.sources.standards.green_button import GreenButtonSource
from besmart_async.ingest.sources.standards.mscons import MsconsSource
from besmart_async.ingest.sources.standards.nem12 import Nem12Source

__all__ = ["GreenButtonSource", "MsconsSource", "Nem12Source"]
