"""Why there is no connection to a server, found out by a TLS handshake of one's own.

gRPC says of many a failure only that the socket was closed, and otherwise has words of its own for
each version.
"""

import socket
import ssl
from typing import Final

from cli.connection.endpoint import Endpoint

_SECONDS: Final = 5.0
_OTHER_NAME: Final = {62, 64}
"""X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH of OpenSSL."""


def what_tls_says(endpoint: Endpoint) -> str | None:
    """What is wrong, for people; None if that is not known, or lies elsewhere."""
    host = endpoint.host
    if host is None:
        return None
    try:
        context = handshake_context(endpoint)
        address = host, int(endpoint.target.rpartition(":")[2])
        with socket.create_connection(address, _SECONDS) as plain:
            return _problem(endpoint, context, plain, endpoint.tls_server_name or host)
    except OSError:
        return None


def handshake_context(endpoint: Endpoint) -> ssl.SSLContext:
    """What gRPC would accept of a server."""
    context = ssl.create_default_context(cafile=endpoint.tls_ca)
    # Newer versions of Python refuse more than gRPC does.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    context.set_alpn_protocols(["h2"])
    if not endpoint.secure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if endpoint.tls_cert and endpoint.tls_key:
        context.load_cert_chain(endpoint.tls_cert, endpoint.tls_key)
    return context


def _problem(
    endpoint: Endpoint, context: ssl.SSLContext, plain: socket.socket, name: str
) -> str | None:
    try:
        with context.wrap_socket(plain, server_hostname=name) as encrypted:
            if not endpoint.secure:
                return "the server speaks TLS: give --tls-ca, or --tls"
            # A server begins with its settings, unless it wants nothing to do with the client.
            return None if encrypted.recv(1) else _client_refused(endpoint)
    except ssl.SSLCertVerificationError as error:
        if error.verify_code in _OTHER_NAME:
            return f"the server's certificate is not for {name}; see --tls-server-name"
        trusted = endpoint.tls_ca or "the CAs of the system"
        return f"the server's certificate is not vouched for by {trusted}: {error.verify_message}"
    except ssl.SSLError as error:
        if not endpoint.secure:
            return None
        if "ALERT" in (error.reason or ""):
            return _client_refused(endpoint)
        return f"no TLS with the server, which may not speak it: {error.reason}"
    except ConnectionResetError:
        return _client_refused(endpoint) if endpoint.secure else None


def _client_refused(endpoint: Endpoint) -> str:
    if endpoint.tls_cert is None:
        return "the server asks for a certificate: give --tls-cert and --tls-key"
    return f"the server does not accept the certificate of {endpoint.tls_cert}"
