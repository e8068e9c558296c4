"""What columns mean to the service: meters to sensors, signal types to signals, units to units."""

from besmart_async.ingest.mapping.signals import Mapper, SignalTypes

__all__ = ["Mapper", "SignalTypes"]
