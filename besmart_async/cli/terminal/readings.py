"""Readings of one signal on the terminal."""

from __future__ import annotations

from besmart_async.cli.terminal.output import cell, counted, error_line, stamp, write, write_json_text
from besmart_async.models.series import SignalData
from besmart_async.wire.columns import encode_item


def write_readings(data: SignalData, *, json: bool) -> None:
    """Write the readings as a table, or in the API's own form as JSON."""
    if json:
        write_json_text(encode_item(data))
        return
    value = f"value [{data.unit}]" if data.unit else "value"
    write(f"{'time':<24} {value:>20} type origin")
    for time, reading, kind, code in data.rows():
        write(f"{stamp(time):<24} {cell(reading):>20} {cell(kind):<4} {cell(code):>6}")
    error_line(counted(len(data), "reading"))
