"""The API's operations as typed methods, one small class per namespace. No HTTP knowledge."""

from besmart_async.resources.meter_types import MeterTypes
from besmart_async.resources.probes import Probes, ServiceProbe
from besmart_async.resources.sensor_states import SensorStates
from besmart_async.resources.sensors import Sensors
from besmart_async.resources.signal_states import SignalStates
from besmart_async.resources.signals import Signals
from besmart_async.resources.tasks import Tasks
from besmart_async.resources.users import Users
from besmart_async.resources.weather import Weather

__all__ = [
    "MeterTypes",
    "Probes",
    "SensorStates",
    "Sensors",
    "ServiceProbe",
    "SignalStates",
    "Signals",
    "Tasks",
    "Users",
    "Weather",
]
