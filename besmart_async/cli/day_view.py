"""A day of what an ingest has sent, read back and drawn."""

from __future__ import annotations

from besmart_async.cli.chart import busiest_day, day_chart, display_zone
from besmart_async.cli.output import colourful, error_line
from besmart_async.client import BesmartClient
from besmart_async.errors import BesmartError
from besmart_async.ingest import SignalTally
from besmart_async.models.queries import SignalQuery

_SPAN_MS = 31 * 86_400_000
"""The day is looked for in so much time before the last reading: what is read back stays small."""


async def day_view(client: BesmartClient, tally: SignalTally, zone_name: str | None) -> str | None:
    """Draw the day with the most readings among the last of a signal; None, and a word why, if that fails."""
    key, zone = tally.key, display_zone(zone_name)
    till = int(tally.last) + 1
    try:
        [data] = await client.signals.read_bulk([SignalQuery(key, till - _SPAN_MS, till, get_last=True)])
        types = await client.signals.types()
    except BesmartError as error:
        error_line(f"no chart: {error}")
        return None
    if data.absent or not len(data):
        return None
    day = busiest_day(data.time, data.value.astype(float), zone)
    kind = next((kind for kind in types if kind.signal_type_moid == key.signal_type_moid), None)
    symbol = (kind and (kind.obis_mapping or kind.symbol)) or str(key)
    unit = f" [{data.unit}]" if data.unit else ""
    title = f"{tally.meter} {symbol}{unit} on {day.start:%A %Y-%m-%d} ({zone})"
    try:
        return day_chart(data, day, title, colour=colourful())
    except ModuleNotFoundError:
        error_line("no chart: it needs plotext: pip install 'besmart-async[cli]'")
    return None
