"""The two dialects in one place: what the live service does differently from the 0.1.5 document.

Everything else asks `dialect_of(settings)` for the form that a value, an answer or a description takes. A new
difference between document and service is one method here, in both classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any, Literal

import attrs
import orjson

from besmart_async.simulator.http.refusals import Refusal
from besmart_async.simulator.http.responses import Headers, ServiceResponse
from besmart_async.simulator.settings import Settings

Schema = dict[str, Any]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_BARE_TEXTS = {403: "Forbidden", 404: "Resource not found", 405: "NotAllowed", 409: "Conflict"}
_PROBLEM_STATUSES = frozenset({401, 403, 405})
_PROBLEM = "application/problem+json"
_DETAIL_SCHEMA: Schema = {"type": "object", "properties": {"detail": {}}, "required": ["detail"]}


class DocumentedDialect:
    """What the 0.1.5 document says.

    Attributes:
        version: The version of the service's description.
        key_required: A login without `X-Auth` is refused.
        hidden: Columns that no answer shows.
        read_fields: What an answer with readings carries besides the documented fields.
        sensor_fields: The same, of a sensor.
        signal_type_fields: The same, of a signal type.
    """

    version: str = "0.1.5"
    key_required: bool = True
    hidden: frozenset[str] = frozenset(
        {"balance_calculation", "node_id", "is_remote", "prefix_name", "default_cap_period", "meter_type_id"}
    )
    read_fields: Mapping[str, object] = {}
    sensor_fields: Mapping[str, object] = {}
    signal_type_fields: Mapping[str, object] = {}

    def shown(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """A stored row as answers show it."""
        return {name: value for name, value in row.items() if name not in self.hidden}

    def meter_type(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """A meter type as answers show it."""
        return self.shown(row)

    def changed(self) -> ServiceResponse:
        """The answer to a change that was made."""
        return ServiceResponse.of(200, "OK")

    def changed_status(self) -> int:
        """The status of that answer."""
        return self.changed().status

    def refused(self, refusal: Refusal, headers: Headers = ()) -> ServiceResponse:
        """The answer to a request that is refused.

        The document shows a JSON string that holds a Python-style dict for 422, and a bare string for the others.
        """
        status, message = refusal.status, refusal.message
        value = str({"status_code": -1, "message": message}) if status == 422 else _BARE_TEXTS.get(status, message)
        return attrs.evolve(ServiceResponse.of(status, value), headers=headers)

    def token(self, token: str, expires_ms: float, user_id: int) -> dict[str, object]:
        """The answer to a login or a refresh."""
        return {"expiration": int(expires_ms), "user_id": user_id, "token": token}

    def info(self, info: str | None) -> Any:
        """`info` of an entity: the string that it was given as."""
        return info

    def state_time(self, at_ms: int | None) -> int | str | None:
        """`since` or `till` of a state."""
        return at_ms

    def error_content(self, status: int, documented: Schema) -> dict[str, object]:
        """The content of an error answer, as OpenAPI describes it."""
        del status
        return {"application/json": documented}


class LiveDialect(DocumentedDialect):
    """What the service of today does, as far as public material shows it."""

    version = "0.62.23"
    key_required = False
    hidden = frozenset({"node_id"})
    read_fields: Mapping[str, object] = {"time_tstorage": 0.001, "time_other": 0.0001}
    sensor_fields: Mapping[str, object] = {
        "read": True,
        "acq_min": None,
        "existing_sensor_state": None,
    }
    signal_type_fields: Mapping[str, object] = {
        "is_measurement": True,
        "time_series_type": 0,
        "data_model_type": 0,
        "apply_multiplier": False,
        "apply_current_ratio": False,
        "apply_voltage_ratio": False,
        "draw_chart": True,
        "chart_expected_summary": None,
        "columns": None,
        "payload_mapping": None,
    }

    def meter_type(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """The name is `name`."""
        return {"name" if name == "meter_type_name" else name: value for name, value in self.shown(row).items()}

    def changed(self) -> ServiceResponse:
        """204 with an empty body."""
        return ServiceResponse(204, media=None)

    def refused(self, refusal: Refusal, headers: Headers = ()) -> ServiceResponse:
        """An object with a `detail`: a list of validation items for 422, a problem (RFC 9457) for some, else a text."""
        status, message = refusal.status, refusal.message
        if status == 422:
            items = [{"loc": list(refusal.where), "msg": message, "type": "value_error"}]
            return ServiceResponse(status, orjson.dumps({"detail": items}), headers=headers)
        if status in _PROBLEM_STATUSES:
            title = HTTPStatus(status).phrase
            problem = {"type": "about:blank", "title": title, "status": status, "detail": message}
            return ServiceResponse(status, orjson.dumps(problem), _PROBLEM, headers)
        return ServiceResponse(status, orjson.dumps({"detail": message}), headers=headers)

    def token(self, token: str, expires_ms: float, user_id: int) -> dict[str, object]:
        """The expiration is a number of seconds, and there is an `account_status`."""
        answer = {"expiration": expires_ms / 1000.0, "user_id": user_id, "token": token}
        return {**answer, "account_status": "active"}

    def info(self, info: str | None) -> Any:
        """An object where the string holds one."""
        if info is None:
            return None
        try:
            value = orjson.loads(info)
        except orjson.JSONDecodeError:
            return info
        return value if isinstance(value, dict) else info

    def state_time(self, at_ms: int | None) -> int | str | None:
        """ISO 8601, except for times beyond its years."""
        if at_ms is None:
            return None
        try:
            return (_EPOCH + timedelta(milliseconds=at_ms)).isoformat()
        except OverflowError:
            return at_ms

    def error_content(self, status: int, documented: Schema) -> dict[str, object]:
        """Objects with a `detail`."""
        del documented
        media = _PROBLEM if status in _PROBLEM_STATUSES else "application/json"
        return {media: {"schema": _DETAIL_SCHEMA}}


_DIALECTS: dict[Literal["documented", "live"], DocumentedDialect] = {
    "documented": DocumentedDialect(),
    "live": LiveDialect(),
}


def dialect_of(settings: Settings) -> DocumentedDialect:
    """The dialect that is set now."""
    return _DIALECTS[settings.dialect]
