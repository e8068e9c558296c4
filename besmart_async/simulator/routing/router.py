"""The route tables: the operations of each dialect, and how a request finds its one."""

from __future__ import annotations

from besmart_async.simulator.endpoints import (
    meter_types,
    sensor_states,
    sensors,
    signal_states,
    signals,
    tasks,
    users,
    weather,
)
from besmart_async.simulator.http.refusals import Refusal, not_found
from besmart_async.simulator.routing.declarations import Route
from besmart_async.simulator.settings import Dialect

ROUTES: tuple[Route, ...] = (
    *users.ROUTES,
    *sensors.ROUTES,
    *meter_types.ROUTES,
    *signals.ROUTES,
    *sensor_states.ROUTES,
    *signal_states.ROUTES,
    *tasks.ROUTES,
    *weather.ROUTES,
)


def routes_of(dialect: Dialect) -> tuple[Route, ...]:
    """The operations that a dialect has."""
    return tuple(route for route in ROUTES if route.dialect in {None, dialect})


class MethodNotAllowed(Refusal):
    """The path exists, the method does not; `allowed` lists those that do."""

    def __init__(self, allowed: list[str]) -> None:
        super().__init__(405, "NotAllowed")
        self.allowed = allowed


def _by_fixed_parts(route: Route) -> tuple[int, str]:
    return route.path.count("{"), route.path


# Paths without parameters first: `/sensors/states/signals` is not the state of id "signals".
_ORDERED: dict[Dialect, list[Route]] = {
    "documented": sorted(routes_of("documented"), key=_by_fixed_parts),
    "live": sorted(routes_of("live"), key=_by_fixed_parts),
}
_FIXED = {
    (dialect, route.method, route.path): route
    for dialect, routes in _ORDERED.items()
    for route in routes
    if "{" not in route.path
}


def find(dialect: Dialect, method: str, path: str) -> tuple[Route, dict[str, str]]:
    """The route of a request and the texts of its path parameters.

    Raises:
        Refusal: 404 for an unknown path.
        MethodNotAllowed: For a path that has no such method.
    """
    fixed = _FIXED.get((dialect, method, path))
    if fixed is not None:
        return fixed, {}
    matches = [(route, match) for route in _ORDERED[dialect] if (match := route.pattern.fullmatch(path))]
    if not matches:
        not_found()
    # Only the routes of the most specific path count: POST /sensors/types is not allowed rather than something else.
    template = matches[0][0].path
    for route, match in matches:
        if route.path == template and route.method == method:
            return route, match.groupdict()
    raise MethodNotAllowed(sorted(route.method for route, _ in matches if route.path == template))
