"""What of access is on, by the settings. What is off is not there, and costs nothing."""

import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from server.access.audit_log import AuditLog
from server.access.auditing import Auditing
from server.access.authentication import Authenticator, authenticated
from server.access.authorization import Authorization
from server.access.authorization_file import watched_grants
from server.access.certificates import from_certificate
from server.access.rate_limits import Rates
from server.process.watched_files import WatchedFiles
from server.rpc.decoding import Decoder
from server.rpc.middleware import MessageStage, Stage
from server.rpc.request_bytes import WaitingBytes
from server.settings import Settings, SettingsRefused
from telemetry.metrics import FigureSource

if TYPE_CHECKING:
    from server.access.key_sources import ObservedKeySource


class Access(NamedTuple):
    """Stages, the outermost first, and what must run beside them."""

    stages: Sequence[Stage]
    message_stages: Sequence[MessageStage]
    callers: Sequence[Stage]
    """Those that are only about who calls: for services that are granted to every caller."""
    watches: Sequence[Callable[[], Awaitable[None]]]
    """To be run until the server stops."""
    close: Callable[[], None]
    """To be called when the last call has ended."""
    files: Sequence[WatchedFiles[Any]]
    """Those that are watched."""
    sources: Sequence[FigureSource]


def access_of(settings: Settings, decode: Decoder) -> Access:
    """Raises SettingsRefused if a file cannot be used."""
    waiting = WaitingBytes(settings.max_waiting_bytes)
    stages: list[Stage] = [waiting.stage]
    message_stages: list[MessageStage] = [waiting.message_stage]
    callers: list[Stage] = []
    watches: list[Callable[[], Awaitable[None]]] = []
    files: list[WatchedFiles[Any]] = []
    sources: list[FigureSource] = []
    if settings.auth_modes:
        authenticators, keys = _authenticators(settings)
        callers.append(authenticated(authenticators))
        if keys is not None:
            watches.append(keys.watch)
            files += keys.files
            sources.append(keys)
    if settings.rate_per_principal:
        rates = Rates(settings.rate_per_principal, time.monotonic)
        callers.append(rates.stage)
        message_stages.append(rates.message_stage)
    stages += callers
    if settings.authorization is not None:
        grants = watched_grants(settings.authorization)
        watches.append(grants.watch)
        files.append(grants)
        authorization = Authorization(lambda: grants.current, decode)
        stages.append(authorization.stage)
        message_stages.append(authorization.message_stage)
    if settings.audit_log is None:
        return Access(stages, message_stages, callers, watches, lambda: None, files, sources)
    audit_log = _audit_log(settings.audit_log)
    auditing = Auditing(audit_log, decode)
    return Access(
        [auditing.stage, *stages],
        [auditing.message_stage, *message_stages],
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
        from server.access import token_callers

        tokens, keys = token_callers.known_by_token(settings)
        authenticators.append(tokens)
    if "mtls" in settings.auth_modes:
        authenticators.append(from_certificate)
    return authenticators, keys


def _audit_log(target: str) -> AuditLog:
    try:
        return AuditLog(target)
    except OSError as error:
        raise SettingsRefused(f"audit_log: {error}") from error
