"""What Prometheus would find."""

import re
import urllib.request
from collections.abc import Mapping
from typing import NamedTuple

from prometheus_client.parser import text_string_to_metric_families

from tests.kit.serving import Server


class Scrape(NamedTuple):
    """One look at the metrics of a server."""

    families: Mapping[str, str]
    """The kind of each, by name; that of a counter without its `_total`."""
    samples: Mapping[tuple[str, frozenset[tuple[str, str]]], float]

    def value(self, name: str, **labels: str) -> float:
        """The one series that has exactly these labels."""
        return self.samples[name, frozenset(labels.items())]

    def total(self, name: str, **labels: str) -> float:
        """The sum of all series that have these labels, and perhaps more."""
        return sum(
            value
            for (found, having), value in self.samples.items()
            if found == name and having >= labels.items()
        )

    @property
    def series(self) -> set[str]:
        """Every name that an expression may use."""
        return {name for name, _ in self.samples} | {
            f"{name}_total" if kind == "counter" else name
            for name, kind in self.families.items()
            if kind != "histogram"
        }


def metrics_address_of(server: Server) -> str:
    return metrics_address_in(server.log)


def metrics_address_in(log: str) -> str:
    found = re.search(r'metrics on ([^\s"]+)', log)
    assert found is not None, log
    return found[1]


def scrape(server: Server) -> Scrape:
    return scrape_at(metrics_address_of(server))


def scrape_at(address: str) -> Scrape:
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=60) as answer:
        families = list(text_string_to_metric_families(answer.read().decode()))
    return Scrape(
        {family.name: family.type for family in families},
        {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in families
            for sample in family.samples
        },
    )
