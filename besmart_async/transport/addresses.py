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
        BesmartConfigError: it is not an http(s) address, it holds credentials or a query, or it is plain http to
            another machine.
    """
    if not isinstance(base_url, str):
        raise BesmartConfigError(f"base_url={base_url!r}: give a text such as https://host/api")
    base_url = base_url.strip()
    if "@" in base_url:
        raise BesmartConfigError("base_url: give login and password as arguments, not inside the address")
    if "?" in base_url or "#" in base_url:
        raise BesmartConfigError("base_url: give it without a query or fragment")
    if len(base_url.split()) > 1:
        raise BesmartConfigError(f"base_url={base_url!r}: there are blanks in it")
    try:
        parts = urlsplit(base_url)
        host, _, _ = parts.hostname, parts.port, httpx.URL(base_url)
    except (ValueError, httpx.InvalidURL) as error:
        said = f"base_url={base_url!r}: not an address ({error}); give one such as https://host/api"
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
    """Return whether a host name or address means this machine."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def needs_tls(base_url: str, proxy: httpx.Proxy | None) -> bool:
    """Return whether requests to `base_url` verify certificates: the service's or the proxy's."""
    return base_url.startswith("https:") or (proxy is not None and proxy.url.scheme == "https")


def chosen_proxy(given: object, base_url: str, *, over_httpx: bool = True) -> httpx.Proxy | None:
    """Return the proxy to use: the one given, else what HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY say.

    Args:
        given: what the user gave.
        base_url: the address of the service.
        over_httpx: whether the default transport goes through it, which needs a package for SOCKS.

    Raises:
        BesmartConfigError: it is not the address of a proxy; a password in it is not shown.
    """
    source = proxy_source(given, base_url)
    proxy, problem = _proxy_or_problem(environment_proxy(base_url) if given is None else given)
    del given  # a traceback shows local variables, and there may be a password in it
    if problem:
        raise BesmartConfigError(f"{source}: {problem}")
    if over_httpx and proxy is not None and proxy.url.scheme.startswith("socks"):
        _check_socks(source)
    return proxy


def proxy_source(given: object, base_url: str) -> str:
    """Return where the proxy comes from: the argument, or which variable of the environment."""
    if given is not None:
        return "proxy"
    scheme = urlsplit(base_url).scheme
    return f"{scheme.upper()}_PROXY" if scheme in getproxies() else "ALL_PROXY"


def _proxy_or_problem(address: object) -> tuple[httpx.Proxy | None, str]:
    if address is None:
        return None, ""
    if not isinstance(address, str) or not address:
        return None, "give an address such as http://host:3128"
    try:
        proxy = httpx.Proxy(address if "://" in address else f"http://{address}")
    except (ValueError, httpx.InvalidURL):
        proxy = None
    if proxy is None or not proxy.url.host:
        return None, "this is not the address of a proxy; give one such as http://host:3128"
    return proxy, ""


def environment_proxy(base_url: str) -> str | None:
    """Return the proxy that HTTPS_PROXY, HTTP_PROXY or ALL_PROXY sets for `base_url`.

    None for this machine, and for what NO_PROXY names: hosts, domains, addresses, networks such as `10.0.0.0/8`, each
    with a port or without, or `*`.
    """
    parts = urlsplit(base_url)
    host = parts.hostname or ""
    if is_loopback(host):
        return None
    proxies = getproxies()
    if proxy_bypass(parts.netloc):  # on Windows and macOS this knows the settings of the system
        return None
    port = parts.port or (443 if parts.scheme == "https" else 80)
    if any(_bypasses(rule.strip(), host, port) for rule in proxies.get("no", "").split(",")):
        return None
    return proxies.get(parts.scheme) or proxies.get("all") or None


def _bypasses(rule: str, host: str, port: int) -> bool:
    """Return whether one rule of NO_PROXY names the host."""
    if rule == "*":
        return True
    try:
        network = ipaddress.ip_network(rule.strip("[]"), strict=False)
    except ValueError:
        name, _, rule_port = rule.rpartition(":")
        if rule_port.isdecimal() and name:
            return int(rule_port) == port and _bypasses(name, host, port)
        domain = rule.lower().lstrip("*").strip(".")
        return bool(domain) and (host == domain or host.endswith(f".{domain}"))
    try:
        return ipaddress.ip_address(host) in network
    except ValueError:
        return False


def _check_socks(source: str) -> None:
    try:
        import socksio  # type: ignore[import-not-found,unused-ignore]  # noqa: F401, PLC0415 - what httpx needs for it
    except ImportError:
        raise BesmartConfigError(f"{source}: for a SOCKS proxy, pip install 'httpx[socks]'") from None
