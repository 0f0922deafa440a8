"""What a process tells Prometheus, read as Prometheus reads it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from prometheus_client.parser import text_string_to_metric_families

from tests.stack import http

if TYPE_CHECKING:
    from collections.abc import Mapping

    from prometheus_client.core import Metric


@dataclass(frozen=True)
class Scrape:
    """The samples of one look, by name and labels."""

    families: tuple[Metric, ...]

    @classmethod
    def of(cls, text: str) -> Scrape:
        return cls(tuple(text_string_to_metric_families(text)))

    @classmethod
    def at(cls, port: int) -> Scrape:
        return cls.of(http.get(f"http://127.0.0.1:{port}/metrics").raise_for_status().text)

    @property
    def names(self) -> set[str]:
        """Every sample's name; of a family that has none yet, those that it would have."""
        endings = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}
        return {
            f"{family.name}{ending}"
            for family in self.families
            for ending in endings.get(family.type, ("",))
        } | {sample.name for family in self.families for sample in family.samples}

    def value(self, name: str, **labels: str) -> float:
        """Give one sample, 0 where it has not been counted yet."""
        return self.by_label(name).get(frozenset(labels.items()), 0)

    def by_label(self, name: str) -> Mapping[frozenset[tuple[str, str]], float]:
        return {
            frozenset(sample.labels.items()): sample.value
            for family in self.families
            for sample in family.samples
            if sample.name == name
        }

    def told(self, name: str) -> dict[str, float]:
        """Give the samples that are not 0, each under its labels' values."""
        return {
            " ".join(value for _, value in sorted(labels)): value
            for labels, value in self.by_label(name).items()
            if value
        }
