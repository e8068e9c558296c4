"""The service that an ingest sends to: the one of the environment, or the embedded one, which learns the meters."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, closing
from typing import TYPE_CHECKING

from besmart_async.cli.inputs import Inputs
from besmart_async.cli.session import bulk_client, client_for, embedded
from besmart_async.client import BesmartClient
from besmart_async.ingest import KnownMeters, MadeMeters, Meters
from besmart_async.models.keys import SensorKey

if TYPE_CHECKING:
    from besmart_async.simulator import Simulator

_CLIENT_CID = 1
_METER_TYPE = "meter"


@asynccontextmanager
async def service_for(
    inputs: Inputs, *, simulate: bool, create: bool
) -> AsyncGenerator[tuple[BesmartClient, Meters], None]:
    """Open a client, and say who knows its meters.

    Raises:
        UsageError: the embedded service's extra is not installed, or there is no account.
        SourceError: the table of meters cannot be read.
        BesmartConfigError: the environment holds no credentials.
    """
    if not simulate:
        async with bulk_client() as client:
            yield client, inputs.meters(client.sensors, create=create)
        return
    known = inputs.known()
    simulator = embedded()(seed=False)
    with closing(simulator):
        async with client_for(simulator) as client:
            yield client, await _made_on_demand(simulator, client, known)


async def _made_on_demand(simulator: Simulator, client: BesmartClient, known: KnownMeters) -> MadeMeters:
    """Let meters become sensors of the embedded service as they are met."""
    types = await client.sensors.types()
    type_id = next((kind.id for kind in types if kind.name == _METER_TYPE and kind.id is not None), 1)
    made: set[SensorKey] = set()

    async def create(name: str) -> SensorKey:
        return await client.sensors.create(name=name, sensor_type_id=type_id, client_cid=_CLIENT_CID, sensor_eid=name)

    def provide(name: str, key: SensorKey) -> None:
        if key not in made:
            simulator.add_sensor(key.client_cid, key.sensor_mid, name=name, sensor_type_id=type_id)
            made.add(key)

    return MadeMeters(known, create, provide)
