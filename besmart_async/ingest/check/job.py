"""Files read and checked as an ingest would, without sending anything."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence

import attrs
import numpy as np
from numpy.typing import NDArray

from besmart_async.ingest.check.report import CheckReport, finding_of
from besmart_async.ingest.check.survey import Survey
from besmart_async.ingest.checkpoint.resume import ResumePoint
from besmart_async.ingest.mapping.signals import Mapper, unit_of
from besmart_async.ingest.pages import PageReader, ParsedPage, Prefetch
from besmart_async.ingest.parse.parser import ParsedReadings, ParseOptions
from besmart_async.ingest.rejects import RowRecords
from besmart_async.ingest.report import ListedRejects, OnProgress, Progress, Reject, unobserved
from besmart_async.ingest.sources import Source, SourceError
from besmart_async.ingest.sources.columns import distinct_codes
from besmart_async.ingest.spill import IN_MEMORY, RECORD, Spill

LISTED = 20
"""Rejects, and findings of each kind, that are kept in the report."""

_REGISTER = re.compile(r"(?:[0-9]+-[0-9]+:)?[0-9]+\.8(?:\.[0-9]+)?(?:[*.][0-9]+)?")
"""OBIS codes of registers: value group D is 8, the time integral since the first start of measurement."""


class CheckJob:
    """Reads files as an ingest does, and reports what is in them. It runs once.

    Memory: a page of readings, and 1 million readings of 40 bytes. Beyond that, readings go to temporary files in 256
    parts, one of which is in memory at a time. The names of meters and signal types are kept.

    Args:
        sources: what to read.
        reading: how to parse times and values.
        signal_type: OBIS code, symbol or id of the signal type if the row names none.
        mapper: finds the signals of the service; None: meters and signal types keep their names in the files.
        on_progress: called often with the progress.
        on_reject: called at once for every rejected row.
        in_memory: readings kept in memory.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        *,
        reading: ParseOptions | None = None,
        signal_type: str | None = None,
        mapper: Mapper | None = None,
        on_progress: OnProgress = unobserved,
        on_reject: Callable[[Reject], object] | None = None,
        in_memory: int = IN_MEMORY,
    ) -> None:
        self._sources = sources
        self._options = reading or ParseOptions()
        self._signal_type = signal_type
        self._mapper = mapper
        self._on_progress = on_progress
        self._on_reject = on_reject
        self._in_memory = in_memory
        self._numbers: dict[tuple[str, str], int] = {}
        self._registers: list[bool] = []
        self._rejects = ListedRejects(LISTED)
        self._rejected = self._readings = self._left_out = 0
        self._since, self._till = np.inf, -np.inf
        self._progress = Progress()

    async def run(self) -> CheckReport:
        """Run the check and return its report. If reading a file fails halfway, that is the report's `error`.

        Raises:
            SourceError: a file cannot be opened or has the wrong header.
            BesmartError: the mapper asked the service, which did not answer.
        """
        unused: dict[str, None] = {}
        for source in self._sources:
            unused |= dict.fromkeys(await asyncio.to_thread(source.check))
        sizes = [source.size_bytes for source in self._sources]
        self._progress = attrs.evolve(self._progress, bytes_total=None if None in sizes else sum(filter(None, sizes)))
        resume_points = [ResumePoint(source.name) for source in self._sources]
        reader = PageReader(self._sources, resume_points, self._options, None, all_parsed=True)
        error: SourceError | None = None
        with Spill(self._in_memory) as spill:
            try:
                async with Prefetch(reader.pages) as pages:
                    async for page in pages:
                        await self._take(page, spill)
            except SourceError as failed:
                error = failed
            survey = await asyncio.to_thread(self._survey, spill)
        return self._report(survey, tuple(unused), error)

    async def _take(self, page: ParsedPage, spill: Spill) -> None:
        readings, rejects = page.release_readings(), page.rejects
        assert readings is not None  # noqa: S101 - all pages are parsed
        self._left_out += page.left_out
        if self._mapper is None:
            series = self._named(readings)
            readings = self._at_starts(readings, series)
        else:
            resolved, refused = await self._mapper.resolve(readings)
            readings, rejects = resolved.readings, [*rejects, *map(RowRecords(page.chunk).add_to, refused)]
            names = [(target.meter, str(target.key)) for target in resolved.targets]
            registers = [target.counts_up for target in resolved.targets]
            series = self._numbered(names, registers)[resolved.target] if names else resolved.target
        for reject in sorted(rejects, key=lambda reject: reject.row):
            self._reject(reject)
        self._add(page.source, readings, series, spill)
        self._progress = attrs.evolve(
            self._progress,
            file=page.resume.file,
            bytes_read=page.bytes_read,
            rows_read=self._readings + self._rejected,
            accepted=self._readings,
            rejected=self._rejected,
        )
        self._on_progress(self._progress)

    def _add(self, file: int, readings: ParsedReadings, series: NDArray[np.int64], spill: Spill) -> None:
        if not len(readings):
            return
        records = np.empty(len(readings), RECORD)
        records["series"], records["file"], records["row"] = series, file, readings.rows
        records["origin"], records["time"], records["value"] = readings.origin, readings.time, readings.value
        if self._mapper is None and readings.unit is not None:
            exponents = [unit.exponent if (unit := unit_of(name)) else 0 for name in readings.unit.names]
            if len(set(exponents)) > 1:  # values in several units are compared in the unit without a prefix
                records["value"] *= np.power(10.0, exponents)[readings.unit.codes]
        if (np.diff(records["row"]) < 0).any():  # a wide page comes slot by slot
            records = records[np.argsort(records["row"], kind="stable")]
        spill.add(records)
        self._readings += len(readings)
        self._since = min(self._since, float(readings.time.min()))
        self._till = max(self._till, float(readings.time.max()))

    def _named(self, readings: ParsedReadings) -> NDArray[np.int64]:
        """Number the signals by the names of meter and signal type in the file."""
        meters, width = readings.meter.names, readings.width
        distinct, index = distinct_codes(readings.pairs, len(meters) * width)
        types = [self._type(name) for name in (readings.signal.names if readings.signal is not None else [""])]
        names = [(meters[pair // width], types[pair % width]) for pair in distinct.tolist()]
        return self._numbered(names, [_REGISTER.fullmatch(name) is not None for _, name in names])[index]

    def _at_starts(self, readings: ParsedReadings, series: NDArray[np.int64]) -> ParsedReadings:
        """Move readings of periods from the end to the start of their period, as ingest does; registers stay."""
        if not readings.length_ms or not len(readings):
            return readings
        moved = np.where(np.array(self._registers, np.bool_)[series], 0, readings.length_ms)
        return attrs.evolve(readings, time=readings.time - moved)

    def _type(self, name: str) -> str:
        return self._options.signals.get(name, name) or self._signal_type or ""

    def _numbered(self, names: Sequence[tuple[str, str]], registers: Sequence[bool]) -> NDArray[np.int64]:
        for name, register in zip(names, registers, strict=True):
            if self._numbers.setdefault(name, len(self._numbers)) == len(self._registers):
                self._registers.append(register)
        return np.array([self._numbers[name] for name in names], np.int64)

    def _reject(self, reject: Reject) -> None:
        self._rejected += 1
        self._rejects.add(reject)
        if self._on_reject:
            self._on_reject(reject)

    def _survey(self, spill: Spill) -> Survey:
        registers = np.array(self._registers, np.bool_)
        survey = Survey(lambda series: registers[series], LISTED)
        for part in spill.parts():
            survey.add(part)
        return survey

    def _report(self, survey: Survey, unused: tuple[str, ...], error: SourceError | None) -> CheckReport:
        names = list(self._numbers)
        files = tuple(source.name for source in self._sources)
        findings = [finding_of(spot, names[spot.series], files[spot.file]) for spot in survey.spots]
        return CheckReport(
            files=files,
            rows=self._readings + self._rejected,
            readings=self._readings,
            rejected=self._rejected,
            left_out=self._left_out,
            meters=len({meter for meter, _ in names}),
            signals=survey.signals,
            since_ms=float(self._since) if self._readings else None,
            till_ms=float(self._till) if self._readings else None,
            resolutions=dict(sorted(survey.resolutions.items(), key=lambda pair: -pair[1])),
            distinct=survey.distinct,
            repeats_equal=survey.repeats_equal,
            repeats_conflicting=survey.repeats_conflicting,
            gaps=survey.gaps,
            missing=survey.missing,
            out_of_order=survey.out_of_order,
            falling=survey.falling,
            findings=tuple(sorted(findings, key=lambda finding: (finding.kind, finding.file, finding.row))),
            rejects=self._rejects.all,
            unused_columns=unused,
            error=error,
        )
