"""The besmart service in your process: all 26 documented operations on starlette and SQLite, with injectable faults."""

from besmart_async.simulator.faults import ActiveFault, Fault, Faults
from besmart_async.simulator.http.requests import Arrival, RecordedRequest
from besmart_async.simulator.settings import Settings
from besmart_async.simulator.simulator import Simulator
from besmart_async.simulator.storage.readings import StoredReading
from besmart_async.simulator.storage.seed import Seed

__all__ = [
    "ActiveFault",
    "Arrival",
    "Fault",
    "Faults",
    "RecordedRequest",
    "Seed",
    "Settings",
    "Simulator",
    "StoredReading",
]
