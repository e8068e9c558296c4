"""Plain data: keys, columns of readings, and the entities of the API. No I/O, no wire format."""

from besmart_async.models.health import Health, TransportHealth
from besmart_async.models.keys import SensorKey, SignalKey
from besmart_async.models.meter_types import MeterType
from besmart_async.models.queries import SignalQuery
from besmart_async.models.sensors import Sensor, SensorType
from besmart_async.models.series import SignalData
from besmart_async.models.signal_types import SignalType
from besmart_async.models.states import SensorState, SignalState
from besmart_async.models.tasks import GraphOutput, GraphResult
from besmart_async.models.tokens import Token

__all__ = [
    "GraphOutput",
    "GraphResult",
    "Health",
    "MeterType",
    "Sensor",
    "SensorKey",
    "SensorState",
    "SensorType",
    "SignalData",
    "SignalKey",
    "SignalQuery",
    "SignalState",
    "SignalType",
    "Token",
    "TransportHealth",
]
