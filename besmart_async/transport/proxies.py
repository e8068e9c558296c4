"""Which proxy the environment asks for."""

from __future__ import annotations

from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from besmart_async.transport.http import is_loopback


def environment_proxy(base_url: str) -> str | None:
    """Return the address in HTTPS_PROXY / HTTP_PROXY / ALL_PROXY that holds for `base_url`; never for this machine."""
    parts = urlsplit(base_url)
    host = parts.hostname or ""
    if is_loopback(host) or proxy_bypass(host):
        return None
    proxies = getproxies()
    return proxies.get(parts.scheme) or proxies.get("all")
