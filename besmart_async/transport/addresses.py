"""Where requests may go: the base URL, and the proxy on the way."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx

from besmart_async.errors import BesmartConfigError


def checked_base_url(base_url: str, *, allow_insecure_http: bool) -> str:
    """Return the base URL if the client may use it.

    Raises:
        BesmartConfigError: no http(s) address, one with credentials or a query in it, or plain http to another machine.
    """
    if not isinstance(base_url, str):
        raise BesmartConfigError(f"base_url={base_url!r}: give a text such as https://host/api")
    base_url = base_url.strip()
    if "@" in base_url:
        raise BesmartConfigError("base_url: credentials do not belong into an address; give login and password instead")
    if "?" in base_url or "#" in base_url:
        raise BesmartConfigError("base_url: give it without a query or fragment")
    if len(base_url.split()) > 1:
        raise BesmartConfigError(f"base_url={base_url!r}: there are blanks in it")
    try:
        parts = urlsplit(base_url)
        host, _, _ = parts.hostname, parts.port, httpx.URL(base_url)
    except (ValueError, httpx.InvalidURL) as error:
        said = f"base_url={base_url!r}: no address ({error}); give one such as https://host/api"
        raise BesmartConfigError(said) from None
    if parts.scheme not in {"http", "https"} or not host:
        raise BesmartConfigError(f"base_url={base_url!r}: give an http(s) address such as https://host/api")
    if parts.scheme == "http" and not allow_insecure_http and not is_loopback(host):
        raise BesmartConfigError(
            f"base_url: plain http to {host} would show the credentials to the network; "
            "use https, or allow_insecure_http=True where that is intended"
        )
    return base_url.rstrip("/")


def is_loopback(host: str) -> bool:
    """Tell whether a host name or address means this machine."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def chosen_proxy(given: object, base_url: str) -> httpx.Proxy | None:
    """Return the proxy to use: the one given, else what HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY say.

    Raises:
        BesmartConfigError: it is no address of a proxy; a password in it is not shown.
    """
    source = "HTTPS_PROXY" if given is None else "proxy"
    address = environment_proxy(base_url) if given is None else given
    if address is None:
        return None
    if not isinstance(address, str) or not address:
        raise BesmartConfigError(f"{source}: give an address such as http://host:3128")
    proxy = _proxy_at(address if "://" in address else f"http://{address}")
    if proxy is None or not proxy.url.host:
        raise BesmartConfigError(f"{source}: no address of a proxy; give one such as http://host:3128")
    if proxy.url.scheme.startswith("socks"):
        _check_socks(source)
    return proxy


def _proxy_at(address: str) -> httpx.Proxy | None:
    try:
        return httpx.Proxy(address)
    except (ValueError, httpx.InvalidURL):
        return None


def environment_proxy(base_url: str) -> str | None:
    """Return the address in HTTPS_PROXY / HTTP_PROXY / ALL_PROXY that holds for `base_url`; never for this machine."""
    parts = urlsplit(base_url)
    if is_loopback(parts.hostname or "") or proxy_bypass(parts.netloc):
        return None
    proxies = getproxies()
    return proxies.get(parts.scheme) or proxies.get("all") or None


def _check_socks(source: str) -> None:
    try:
        import socksio  # type: ignore[import-not-found,unused-ignore]  # noqa: F401, PLC0415 - what httpx needs for it
    except ImportError:
        raise BesmartConfigError(f"{source}: for a SOCKS proxy, pip install 'httpx[socks]'") from None
