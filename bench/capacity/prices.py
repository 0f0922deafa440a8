"""Prices and quotas of AWS, us-east-1, with where each is published and when we saw it.

They change without notice, differ by region, and no discount is in them: check before you buy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

SEEN: Final = "November 2026"
NOT_LOOKED_UP: Final = "not looked up"  # a figure that we only remember
_DYNAMODB: Final = "https://aws.amazon.com/dynamodb/pricing/on-demand/"
_DYNAMODB_QUOTAS: Final = (
    "https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ServiceQuotas.html"
)
_THROTTLING: Final = "https://repost.aws/knowledge-center/on-demand-table-throttling-dynamodb"
_GET_RECORDS: Final = (
    "https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_streams_GetRecords.html"
)
_FARGATE: Final = "https://aws.amazon.com/fargate/pricing/"
_EC2: Final = "https://aws.amazon.com/ec2/pricing/on-demand/"
_BALANCER: Final = "https://aws.amazon.com/elasticloadbalancing/pricing/"
_S3: Final = "https://aws.amazon.com/s3/pricing/"
_BEDROCK: Final = "https://aws.amazon.com/bedrock/pricing/"


@dataclass(frozen=True, kw_only=True)
class Price:
    """Dollars for one unit of something; `per` says what the page quotes it for."""

    what: str
    usd: float
    per: str
    quoted: float = 1.0  # units that the page's figure is for
    page: str
    seen: str = SEEN

    @property
    def each(self) -> float:
        """Dollars for a single unit."""
        return self.usd / self.quoted


_MILLION: Final = 1e6
WRITE_UNIT = Price(
    what="DynamoDB, write",
    usd=0.625,
    per="million units",
    quoted=_MILLION,
    page=_DYNAMODB,
)
READ_UNIT = Price(
    what="DynamoDB, read", usd=0.125, per="million units", quoted=_MILLION, page=_DYNAMODB
)
STREAM_READ = Price(
    what="DynamoDB Streams, GetRecords", usd=0.02, per="100,000 calls", quoted=1e5, page=_DYNAMODB
)
STORED_GB = Price(what="DynamoDB, stored", usd=0.25, per="GB and month", page=_DYNAMODB)
OBJECT_PUT = Price(what="S3, PUT", usd=0.005, per="1,000", quoted=1e3, page=_S3)
OBJECT_GET = Price(what="S3, GET", usd=0.0004, per="1,000", quoted=1e3, page=_S3)
OBJECT_GB = Price(what="S3, stored", usd=0.023, per="GB and month", page=_S3)
CORE_HOUR = Price(what="Fargate, a core", usd=0.04048, per="hour", page=_FARGATE)
MEMORY_HOUR = Price(what="Fargate, memory", usd=0.004445, per="GB and hour", page=_FARGATE)
NODE_HOUR = Price(what="EC2 m7g.large (2 cores, 8 GiB)", usd=0.0816, per="hour", page=_EC2)
BALANCER_HOUR = Price(what="Load balancer", usd=0.0225, per="hour", page=_BALANCER)
BALANCER_UNIT = Price(what="Load balancer, capacity unit", usd=0.008, per="hour", page=_BALANCER)
# The first of four steps; the last, above 150 TB a month, is about half of it.
SENT_GB = Price(
    what="Data to the internet, first 10 TB", usd=0.09, per="GB", page=_EC2, seen=NOT_LOOKED_UP
)
PRICES: Final = (
    WRITE_UNIT,
    READ_UNIT,
    STREAM_READ,
    STORED_GB,
    OBJECT_PUT,
    OBJECT_GET,
    OBJECT_GB,
    CORE_HOUR,
    MEMORY_HOUR,
    NODE_HOUR,
    BALANCER_HOUR,
    BALANCER_UNIT,
    SENT_GB,
)


@dataclass(frozen=True, kw_only=True)
class ModelPrice:
    """A model's price a million tokens, and how many of its quota's tokens one that it says is."""

    name: str
    input_usd: float
    output_usd: float
    burndown: float
    page: str = _BEDROCK
    seen: str = SEEN

    def of(self, *, read: float, said: float) -> float:
        """Give the dollars for so many tokens."""
        return (read * self.input_usd + said * self.output_usd) / _MILLION


MODELS: Final = (
    ModelPrice(name="Nova Lite", input_usd=0.06, output_usd=0.24, burndown=1),
    ModelPrice(name="Claude Sonnet 4.5", input_usd=3, output_usd=15, burndown=5),
)


@dataclass(frozen=True, kw_only=True)
class Quota:
    """What AWS lets through; `is_fixed` says that nobody raises it on request."""

    what: str
    figure: float
    unit: str
    page: str
    is_fixed: bool
    seen: str = SEEN


NEW_TABLE = Quota(
    what="an on-demand table, when it is new",
    figure=4_000,
    unit="write units a second",
    page=_THROTTLING,
    is_fixed=False,
)
TABLE_WRITES = Quota(
    what="an on-demand table, by default",
    figure=40_000,
    unit="write units a second",
    page=_DYNAMODB_QUOTAS,
    is_fixed=False,
)
TABLE_READS = Quota(
    what="an on-demand table, by default",
    figure=40_000,
    unit="read units a second",
    page=_DYNAMODB_QUOTAS,
    is_fixed=False,
)
PARTITION_WRITES = Quota(
    what="a partition, of an index as well",
    figure=1_000,
    unit="write units a second",
    page=_THROTTLING,
    is_fixed=True,
)
GET_RECORDS_BYTES = Quota(
    what="one GetRecords", figure=1e6, unit="bytes", page=_GET_RECORDS, is_fixed=True
)
GET_RECORDS_RECORDS = Quota(
    what="one GetRecords", figure=1_000, unit="records", page=_GET_RECORDS, is_fixed=True
)
GET_RECORDS_CALLS = Quota(
    what="GetRecords of one shard",
    figure=5,
    unit="calls a second",
    page=_DYNAMODB_QUOTAS,
    is_fixed=True,
    seen=NOT_LOOKED_UP,
)
OBJECT_PUTS = Quota(
    what="S3, a prefix, before it divides by itself",
    figure=3_500,
    unit="PUT a second",
    page="https://docs.aws.amazon.com/AmazonS3/latest/userguide/optimizing-performance.html",
    is_fixed=True,
    seen=NOT_LOOKED_UP,
)
QUOTAS: Final = (
    NEW_TABLE,
    TABLE_WRITES,
    TABLE_READS,
    PARTITION_WRITES,
    GET_RECORDS_BYTES,
    GET_RECORDS_RECORDS,
    GET_RECORDS_CALLS,
    OBJECT_PUTS,
)
# Fargate adds so much to a pod for Kubernetes' own programs, and sells cores with these memories.
# https://docs.aws.amazon.com/eks/latest/userguide/fargate-pod-configuration.html
_FARGATE_OWN_GIB: Final = 0.25
_FARGATE_SIZES: Final = (
    (0.25, (0.5, 1, 2)),
    (0.5, (1, 2, 3, 4)),
    (1.0, tuple(range(2, 9))),
    (2.0, tuple(range(4, 17))),
    (4.0, tuple(range(8, 31))),
)


def fargate_size(cores: float, gib: float) -> tuple[float, float]:
    """Give cores and GiB of the smallest pod that Fargate sells with so much. Raises ValueError."""
    needed = gib + _FARGATE_OWN_GIB
    for sold, memories in _FARGATE_SIZES:
        fitting = [memory for memory in memories if memory >= needed]
        if sold >= cores and fitting:
            return sold, fitting[0]
    raise ValueError(f"Fargate sells no pod of {cores:g} cores and {gib:g} GiB")


FREE_STREAM_READS: Final = 2_500_000  # a month
BALANCER_UNIT_BYTES_AN_HOUR: Final = 1e9
BALANCER_UNIT_CONNECTIONS: Final = 3_000  # open at a time
BALANCER_UNIT_NEW: Final = 25  # connections a second
