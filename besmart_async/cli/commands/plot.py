"""`besmart plot`: drawing signals."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from contextlib import aclosing
from datetime import UTC
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from besmart_async.cli.client import call
from besmart_async.cli.exits import Exit, UsageError
from besmart_async.cli.options import (
    DeltaT,
    Named,
    Origin,
    Period,
    Signals,
    UnitWanted,
    Wanted,
    chosen,
    named,
    picture_format,
    queries,
    window,
)
from besmart_async.cli.outputs import check_unused
from besmart_async.cli.terminal.output import colourful, counted, error_line, size_text, write, write_drawing
from besmart_async.cli.terminal.progress import ReadingBar
from besmart_async.client import BesmartClient
from besmart_async.errors import BesmartError
from besmart_async.export.files import complete_file
from besmart_async.export.job import policy_for
from besmart_async.export.report import ExportProgress, refuses_one_signal
from besmart_async.ingest.parse.zones import UnknownZoneError, zone_of
from besmart_async.models.keys import SignalKey
from besmart_async.models.queries import SignalQuery
from besmart_async.models.series import SignalData
from besmart_async.plots import KINDS, Curve, Kind, Picture, is_picture, render

MAX_WIDTH = 120


def plot(
    signals: Signals = None,
    /,
    *,
    period: Period,
    named_in: Named = Named(),  # noqa: B008 - a frozen value
    output: Annotated[Path | None, Parameter(name=("--output", "-o"))] = None,
    kind: Annotated[list[Kind] | None, Parameter(negative="")] = None,
    delta_t: DeltaT = None,
    origin: Origin = None,
    unit: UnitWanted = None,
    step: Annotated[float | None, Parameter(validator=Number(gt=0))] = None,
    title: str | None = None,
) -> int:
    """Draw signals in the terminal, or to a PNG, SVG or HTML file.

    line: the values, with a chart of its own for each unit and for registers. heatmap: the mean of each hour by day;
    energies and registers become mean power. completeness: the share of the expected readings of each day. Days and
    hours are those of --time-zone, by default UTC. An HTML file opens without a network.

    Parameters
    ----------
    output
        File whose name ends with .png, .svg or .html; by default the terminal.
    kind
        Only this kind of chart; may be given several times. By default all.
    step
        Minutes from one reading to the next, for the completeness; by default the most frequent distance.
    title
        Title of the picture.
    """
    names = named(signals or [], named_in.signals_from)
    since, till = window(period)
    if output is not None:
        check_unused("--output", output, [("the list of --signals-from", named_in.signals_from)])
    form = None if output is None else picture_format(output, "--output")
    try:
        zone = zone_of(period.time_zone) if period.time_zone else UTC
    except UnknownZoneError as error:
        raise UsageError(f"--time-zone: {error}") from None
    wanted = Wanted(get_last=True, delta_t=delta_t, origin=origin, unit=unit)
    usual = step if step is not None else delta_t

    unread: dict[str, str] = {}

    async def ask(client: BesmartClient) -> list[Curve]:
        found = await chosen(client, names)
        asked = await queries(client, found.keys, since, till, wanted)
        read, refused = await _read(client, asked) if asked else ({}, {})
        unread.update((str(key), reason) for key, reason in refused.items() if key not in found.guessed)
        absent = [key for key, data in read.items() if data.absent]
        unread.update((str(name), problem) for name, problem in found.unanswered(absent).items())
        types = {one.signal_type_moid: one for one in await client.signals.types()}
        return [
            Curve.of(data, types.get(key.signal_type_moid), usual and usual * 60_000)
            for key, data in read.items()
            if len(data) or (key not in found.guessed and not data.absent)
        ]

    curves = call(ask)
    for name, problem in unread.items():
        error_line(f"{name}: {problem}")
    if not any(map(len, curves)):
        raise BesmartError("there are no readings to draw; look at the signals and the period")
    picture = Picture(curves, since, till, zone, list(dict.fromkeys(kind or KINDS)), title)
    if output is None or form is None:
        _show(picture)
    else:
        content = render(picture, form)
        with complete_file(output, is_picture) as stream:
            stream.write(content)
        error_line(f"{output}: {counted(len(curves), 'signal')}, {size_text(len(content))}")
    return Exit.REJECTED if unread else Exit.OK


async def _read(
    client: BesmartClient, asked: Sequence[SignalQuery]
) -> tuple[dict[SignalKey, SignalData], dict[SignalKey, str]]:
    """Read all signals; return their readings, and the reason for each signal that the service refuses."""
    refused: dict[SignalKey, str] = {}

    def on_error(query: SignalQuery, error: BesmartError) -> None:
        if not refuses_one_signal(error):
            raise error
        refused.setdefault(query.key, str(error))

    parts: dict[SignalKey, list[SignalData]] = {query.key: [] for query in asked}
    done = readings = 0
    with ReadingBar() as bar:
        async with (
            client.reader(policy_for(asked)) as reader,
            aclosing(reader.stream(asked, in_order=True, on_error=on_error)) as stream,
        ):
            async for data in stream:
                parts[data.key].append(data)
                done, readings = done + 1, readings + len(data)
                bar.show(ExportProgress(parts=done, parts_total=len(asked), readings=readings))
    found = {key: SignalData.concat(several) for key, several in parts.items() if key not in refused and several}
    return found, refused


def _show(picture: Picture) -> None:
    from besmart_async.cli.terminal.charts import terminal_picture

    width = min(shutil.get_terminal_size((80, 24)).columns, MAX_WIDTH) - 1
    write(f"{picture.title}\n{picture.period}")
    for chart in terminal_picture(picture, width, colour=colourful()):
        write_drawing("\n" + chart)
