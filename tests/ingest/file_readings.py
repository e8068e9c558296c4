"""What files say with a mapping file: readings by meter and signal type, and rejects."""

from collections.abc import Mapping
from pathlib import Path

import attrs

from besmart_async.ingest import Reject
from besmart_async.ingest.checkpoint.resume import ResumePoint
from besmart_async.ingest.mapping.file import read_mapping
from besmart_async.ingest.pages import PageReader
from besmart_async.ingest.sources import sources_of

Readings = Mapping[tuple[str, str, str], list[tuple[int, float]]]


@attrs.frozen
class FileReadings:
    """Readings as (milliseconds, value) by meter, signal type and unit, in the order of the file; and rejects."""

    readings: Readings
    rejects: list[Reject]

    @property
    def by_meter(self) -> dict[str, list[tuple[int, float]]]:
        """The readings by meter."""
        found: dict[str, list[tuple[int, float]]] = {}
        for (meter, _, _), readings in self.readings.items():
            found.setdefault(meter, []).extend(readings)
        return found


def readings_of(path: Path, mapping: str = "") -> FileReadings:
    """Read a file with a mapping file of this text, as an ingest does."""
    toml = path.parent / "mapping.toml"
    toml.write_text(mapping, encoding="utf-8")
    said = read_mapping(toml)
    sources = sources_of([str(path)], said.form)
    for source in sources:
        source.check()
    points = [ResumePoint(source.name) for source in sources]
    found: dict[tuple[str, str, str], list[tuple[int, float]]] = {}
    rejects: list[Reject] = []
    for page in PageReader(sources, points, said.reading, None, all_parsed=True).pages():
        rejects += page.rejects
        readings = page.readings
        assert readings is not None
        for row in range(len(readings)):
            signal = readings.signal.text(row) if readings.signal is not None else ""
            unit = readings.unit.text(row) if readings.unit is not None else ""
            key = (readings.meter.text(row), said.reading.signals.get(signal, signal), unit)
            found.setdefault(key, []).append((int(readings.time[row]), float(readings.value[row])))
    return FileReadings(found, rejects)
