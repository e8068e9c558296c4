"""What a broken attempt means, as a typed error with words that a newcomer understands."""

from __future__ import annotations

import ssl

import attrs
import httpx

from besmart_async.errors import ConnectError, ProtocolError, RequestTimeoutError, TransportError

_UNSENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol, httpx.ProxyError)
"""Failures before the first byte of the request."""

_LARGE_BODY_BYTES = 500_000
"""Common limits of front ends begin at 1 MB; some answer by closing the connection."""


@attrs.frozen(kw_only=True)
class BrokenAttempt:
    """An attempt that got no answer.

    Attributes:
        operation: the operation's name.
        where: host and port.
        proxy: the proxy on the way there, and where its address comes from.
        connect_s: seconds it had to connect.
        seconds: seconds it had in all.
        body_bytes: size of its body.
        reached: whether any of the request may have reached the service.
        reused: whether it went over an idle connection that may have died before.
    """

    operation: str
    where: str
    proxy: str | None
    connect_s: float
    seconds: float
    body_bytes: int
    reached: bool
    reused: bool

    def error_of(self, error: Exception) -> TransportError:
        """Return the typed error for what httpx or the event loop raised."""
        reached = self.reached and not isinstance(error, _UNSENT)
        cls, said = self._class_and_words(error, reached)
        return cls(
            f"{self.operation}: {said}", operation=self.operation, reached=reached, reused=reached and self.reused
        )

    def _class_and_words(self, error: Exception, reached: bool) -> tuple[type[TransportError], str]:
        where, words = self.where, _words(error)
        cls: type[TransportError] = ConnectError
        if isinstance(error, TimeoutError | httpx.TimeoutException):
            cls, said = RequestTimeoutError, self._too_slow(error, reached)
        elif isinstance(error, httpx.ProxyError) or self._no_proxy_there(error):
            address = f" ({self.proxy})" if self.proxy else ""
            said = f"the proxy on the way to {where} failed ({words}); check its address{address}"
        elif isinstance(error, httpx.ConnectError) and (tls := _tls_error(error)) is not None:
            said = self._no_tls(tls)
        elif isinstance(error, httpx.ConnectError):
            said = f"cannot connect to {where} ({words}); check base_url and the network"
        elif isinstance(error, httpx.UnsupportedProtocol | httpx.InvalidURL):
            said = f"{where} is not the address of an HTTP service ({words}); check base_url"
        elif isinstance(error, httpx.RemoteProtocolError | httpx.DecodingError):
            cls, said = ProtocolError, f"no complete HTTP answer came from {where} ({words}){self._advice()}"
        else:
            cls, said = ProtocolError, f"the connection to {where} broke ({words}){self._advice()}"
        return cls, said

    def _no_proxy_there(self, error: Exception) -> bool:
        """Return whether it was the connection to the proxy that was not made."""
        return self.proxy is not None and isinstance(error, httpx.ConnectError) and not self.reached

    def _no_tls(self, error: ssl.SSLError) -> str:
        if isinstance(error, ssl.SSLCertVerificationError):
            return (
                f"the certificate of {self.where} is not trusted ({error.verify_message}); check base_url and the "
                "clock of this machine; for a private authority give its certificate by ssl_context or SSL_CERT_FILE"
            )
        words = (error.reason or str(error)).replace("_", " ").lower()
        return f"no TLS connection to {self.where} ({words}); check base_url: http or https, host and port"

    def _too_slow(self, error: Exception, reached: bool) -> str:
        if reached:
            within = f"no complete answer from {self.where} within {self.seconds:.3g} s"
            return f"{within}; ask for less at once, or give the client a longer timeout"
        seconds = min(self.connect_s, self.seconds) if isinstance(error, httpx.ConnectTimeout) else self.seconds
        return f"no connection to {self.where} within {seconds:.3g} s; check base_url, the network and any proxy"

    def _advice(self) -> str:
        if self.body_bytes < _LARGE_BODY_BYTES:
            return ""
        return f"; it may not take a body of {self.body_bytes / 1e6:.1f} MB: send less at once"


_PLAIN_WORDS: dict[type[Exception], str] = {
    httpx.ReadError: "it was reset or closed before the answer",
    httpx.WriteError: "it was reset or closed while sending",
    httpx.CloseError: "closing it failed",
}


def _tls_error(error: BaseException) -> ssl.SSLError | None:
    """Return the TLS error that an error began with."""
    found: ssl.SSLError | None = None
    seen: BaseException | None = error
    while seen is not None:
        found = seen if isinstance(seen, ssl.SSLError) else found  # aiohttp's are SSL errors too, without a reason
        seen = seen.__cause__ or seen.__context__
    return found


def _words(error: Exception) -> str:
    return str(error) or _PLAIN_WORDS.get(type(error), type(error).__name__)
