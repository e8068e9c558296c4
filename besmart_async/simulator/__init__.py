"""The besmart service in your process: all 26 documented operations on starlette and SQLite, with faults to order."""

from besmart_async.simulator.arrivals import Arrival, RecordedRequest
from besmart_async.simulator.faults import ActiveFault, Fault, Faults
from besmart_async.simulator.readings import StoredReading
from besmart_async.simulator.seed import Seed
from besmart_async.simulator.settings import Settings
from besmart_async.simulator.simulator import Simulator

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
