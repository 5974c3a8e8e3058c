"""What a rate depends on besides the code: the machine and the versions."""

import os
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path


def describe() -> str:
    """The machine in one line."""
    return (
        f"{os.cpu_count()} cores {cpu_model()}, {memory_gib():.0f} GiB memory, "
        f"{platform.system()} {platform.release()}."
    )


def versions(*packages: str) -> str:
    """Python's version and those of the packages, in one line."""
    numbers = [f"{name} {version(name)}" for name in packages]
    return ", ".join([f"Python {platform.python_version()}", *numbers])


def today() -> str:
    return datetime.now(UTC).date().isoformat()


def cpu_model() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def memory_gib() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
