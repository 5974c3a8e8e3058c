"""What of access is on, by the settings. What is off is not there, and costs nothing."""

import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from server.access.audit_log import AuditLog
from server.access.auditing import Auditing
from server.access.authentication import Authenticator, authenticated, from_certificate
from server.access.authorization import Authorization
from server.access.authorization_file import watched_grants
from server.access.rate_limits import RateLimits
from server.process.watched_files import WatchedFiles
from server.rpc.decoding import Decoder
from server.rpc.middleware import MessageMiddleware, Middleware
from server.rpc.request_bytes import WaitingBytes
from server.settings import Settings, SettingsRefused
from telemetry.metrics import MetricSource

if TYPE_CHECKING:
    from server.access.key_sources import ObservedKeySource


class Access(NamedTuple):
    """Middleware, the outermost first, and what must run beside them."""

    middleware: Sequence[Middleware]
    message_middleware: Sequence[MessageMiddleware]
    callers: Sequence[Middleware]
    """Those that are only about who calls: for services that are granted to every caller."""
    watches: Sequence[Callable[[], Awaitable[None]]]
    """To be run until the server stops."""
    close: Callable[[], None]
    """To be called when the last call has ended."""
    files: Sequence[WatchedFiles[Any]]
    """Those that are watched."""
    sources: Sequence[MetricSource]


def access_of(settings: Settings, decode: Decoder) -> Access:
    """Raises SettingsRefused if a file cannot be used."""
    waiting = WaitingBytes(settings.max_waiting_bytes)
    middleware: list[Middleware] = [waiting.middleware]
    message_middleware: list[MessageMiddleware] = [waiting.message_middleware]
    callers: list[Middleware] = []
    watches: list[Callable[[], Awaitable[None]]] = []
    files: list[WatchedFiles[Any]] = []
    sources: list[MetricSource] = []
    if settings.auth_modes:
        authenticators, keys = _authenticators(settings)
        callers.append(authenticated(authenticators))
        if keys is not None:
            watches.append(keys.watch)
            files += keys.files
            sources.append(keys)
    if settings.rate_per_principal:
        rate_limits = RateLimits(settings.rate_per_principal, time.monotonic)
        callers.append(rate_limits.middleware)
        message_middleware.append(rate_limits.message_middleware)
    middleware += callers
    if settings.authorization is not None:
        grants = watched_grants(settings.authorization)
        watches.append(grants.watch)
        files.append(grants)
        authorization = Authorization(lambda: grants.current, decode)
        middleware.append(authorization.middleware)
        message_middleware.append(authorization.message_middleware)
    if settings.audit_log is None:
        return Access(
            middleware, message_middleware, callers, watches, lambda: None, files, sources
        )
    audit_log = _audit_log(settings.audit_log)
    auditing = Auditing(audit_log, decode)
    return Access(
        [auditing.middleware, *middleware],
        [auditing.message_middleware, *message_middleware],
        callers,
        watches,
        audit_log.close,
        files,
        [*sources, audit_log],
    )


def _authenticators(settings: Settings) -> "tuple[list[Authenticator], ObservedKeySource | None]":
    """A token before the certificate: it says on whose behalf a connection is used.

    Also where the keys of tokens come from, if tokens are taken.
    """
    authenticators: list[Authenticator] = []
    keys: ObservedKeySource | None = None
    if "jwt" in settings.auth_modes:
        # What is off is not imported: cryptography takes a quarter of a second.
        from server.access import tokens

        callers, keys = tokens.known_by_token(settings)
        authenticators.append(callers)
    if "mtls" in settings.auth_modes:
        authenticators.append(from_certificate)
    return authenticators, keys


def _audit_log(target: str) -> AuditLog:
    try:
        return AuditLog(target)
    except OSError as error:
        raise SettingsRefused(f"audit_log: {error}") from error
