"""Addresses of brokers, `kafka://host:9092/?group=meters`, and their secrets, which come from elsewhere."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Self
from urllib.parse import parse_qsl, urlsplit

import attrs

from besmart_async.cli.exits import UsageError
from besmart_async.errors import visible

_OPTIONS = {
    "kafka": {"group", "security", "mechanism", "ca", "offset"},
    "nats": {"durable", "stream", "creds"},
}
_ALSO = "; other settings of Kafka's client: --kafka-config FILE"


@attrs.frozen
class StreamAddress:
    """A broker's address.

    Attributes:
        broker: which one.
        hosts: host and port of one or several servers, separated by commas.
        options: what follows the question mark.
        tls: the scheme ends with +tls.
    """

    broker: Literal["kafka", "nats"]
    hosts: str
    options: Mapping[str, str]
    tls: bool

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read an address.

        Raises:
            UsageError: it is not one, has an unknown option, or holds a secret.
        """
        parts = urlsplit(text)
        scheme, _, tls = parts.scheme.partition("+")
        if scheme not in _OPTIONS or tls not in {"", "tls"} or not parts.netloc:
            raise UsageError("ADDRESS: give kafka://host:9092/?group=NAME or nats://host:4222")
        if "@" in parts.netloc:
            raise UsageError(
                "ADDRESS: no user or password in it, since other users see the arguments; set BESMART_STREAM_USER and"
                " BESMART_STREAM_PASSWORD, or BESMART_STREAM_PASSWORD_FILE"
            )
        options = dict(parse_qsl(parts.query, keep_blank_values=True))
        unknown = sorted(options.keys() - _OPTIONS[scheme])
        if unknown:
            known = ", ".join(sorted(_OPTIONS[scheme])) + (_ALSO if scheme == "kafka" else "")
            raise UsageError(f"ADDRESS: {visible(unknown[0])} is not an option; there are {known}")
        return cls("kafka" if scheme == "kafka" else "nats", parts.netloc, options, bool(tls))


def secret(name: str, environ: Mapping[str, str] = os.environ) -> str | None:
    """Return BESMART_STREAM_<name>, or the content of the file that BESMART_STREAM_<name>_FILE names.

    Raises:
        UsageError: the file cannot be read.
    """
    if value := environ.get(f"BESMART_STREAM_{name}"):
        return value
    path = environ.get(f"BESMART_STREAM_{name}_FILE")
    if not path:
        return None
    try:
        return Path(path).read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise UsageError(f"BESMART_STREAM_{name}_FILE: {path}: {reason}") from None


def kafka_settings(address: StreamAddress, file: Path | None) -> dict[str, str | int | float | bool]:
    """Return the settings of Kafka's client: of the address, of a file of `name=value` lines, and the secrets.

    Raises:
        UsageError: the file cannot be read, or there is no group.
    """
    options = address.options
    settings: dict[str, str | int | float | bool] = {"bootstrap.servers": address.hosts}
    names = {
        "group": "group.id",
        "security": "security.protocol",
        "mechanism": "sasl.mechanism",
        "ca": "ssl.ca.location",
        "offset": "auto.offset.reset",
    }
    settings |= {names[name]: value for name, value in options.items()}
    user, password = secret("USER"), secret("PASSWORD")
    if user:
        settings |= {"sasl.username": user, "sasl.password": password or ""}
        settings.setdefault("security.protocol", "sasl_ssl" if address.tls else "sasl_plaintext")
        settings.setdefault("sasl.mechanism", "PLAIN")
    elif address.tls:
        settings.setdefault("security.protocol", "ssl")
    if file is not None:
        settings |= _lines(file)
    if not settings.get("group.id"):
        raise UsageError("ADDRESS: name the consumer group, as in kafka://host:9092/?group=meters")
    return settings


def _lines(file: Path) -> dict[str, str]:
    try:
        text = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise UsageError(f"--kafka-config {file}: {reason}") from None
    found: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        name, equals, value = line.partition("=")
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if not equals:
            raise UsageError(f"--kafka-config {file}, line {number}: write name=value")  # the value may be secret
        found[name.strip()] = value.strip()
    return found
