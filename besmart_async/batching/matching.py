"""Which requests are the same, which answer is whose, and whose fault an error is. Pure functions.

Rules:
- Requests are the same if they would be sent as the same JSON.
- An answer names a signal, not the request: the key decides, its position never does.
- Several answers for a signal that was asked alone can only be parts of one answer. Equal parts are one; parts that
  have no reading (time and origin) in common are joined in the order of time; anything else breaks the contract.
- An error is about an item if one item of a bulk call can bring it upon all of them. A status says so, or a malformed
  answer in which the bad place lies inside an item. Being overloaded, down or unreachable is nobody's fault, and asking
  again in pieces would make it worse.
"""

from __future__ import annotations

from collections.abc import Container, Hashable, Sequence

import attrs
import orjson

from besmart_async.errors import ApiError, BesmartError, DecodeError, InvalidInputError
from besmart_async.models.keys import SignalKey
from besmart_async.models.queries import SignalQuery
from besmart_async.models.series import SignalData

_ABOUT_AN_ITEM = frozenset({400, 403, 404, 413, 422})
"""422 is the document's status for it; 400, 403 and 404 are what other versions say of one bad, foreign or unknown
signal; 413 is the fault of all together, and halves cure it too."""


def identity_of(query: SignalQuery) -> Hashable:
    """Return what is equal for requests that may share one answer, and for no others."""
    if query.filters is None:
        return query
    # To Python 1, 1.0 and True are equal, to JSON they are not; and a mapping has no hash.
    return attrs.evolve(query, filters=None), orjson.dumps(query.filters, option=orjson.OPT_SORT_KEYS)


def sorted_out(
    asked: Container[SignalKey], answers: Sequence[SignalData]
) -> tuple[dict[SignalKey, SignalData], dict[SignalKey, list[SignalData]], int]:
    """Sort a bulk answer by key.

    Returns:
        The first answer of each key asked; all answers of each key that came more than once; how many nobody asked for.
    """
    found: dict[SignalKey, SignalData] = {}
    twice: dict[SignalKey, list[SignalData]] = {}
    extra = 0
    for data in answers:
        key = data.key
        if key not in asked:
            extra += 1
            continue
        before = len(found)
        first = found.setdefault(key, data)
        if len(found) == before:
            twice.setdefault(key, [first]).append(data)
    return found, twice, extra


def merged(parts: Sequence[SignalData]) -> SignalData | DecodeError:
    """Return the one answer that several items for the only signal asked are, or why they are none."""
    distinct: list[SignalData] = []
    for part in parts:
        if part not in distinct:
            distinct.append(part)
    if len(distinct) == 1:
        return distinct[0]
    readings = [{(time, origin) for time, _, _, origin in part.rows()} for part in distinct]
    if len(set().union(*readings)) == sum(map(len, readings)):
        try:
            return SignalData.concat(distinct).sorted()
        except InvalidInputError:
            pass  # parts in different units
    problem = f"{len(parts)} answers that contradict each other, for signal {parts[0].key} asked alone"
    return DecodeError(problem, operation="signals.read_bulk")


def about_an_item(error: BesmartError) -> bool:
    """Tell whether one item of a bulk call may have brought `error` upon the whole call."""
    if isinstance(error, DecodeError):
        return error.path.startswith("$[")
    return isinstance(error, ApiError) and error.status in _ABOUT_AN_ITEM
