"""Addresses of the form HOST:PORT."""

import ipaddress


def host_of(address: str) -> str | None:
    """The host of HOST:PORT; None if that is not what the address is."""
    host, _, port = address.rpartition(":")
    is_number = port.isdecimal() and port.isascii()
    return host if host and is_number and int(port) <= 65_535 else None


def is_loopback(host: str) -> bool:
    """Whether only this machine can be meant."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
