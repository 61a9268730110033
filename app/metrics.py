"""Every metric in one table: name, help, labels. One registry per node, so that a test runs three in one process.

Label sets are bounded: a registry that no image of the store and no option names counts as `other`.
Counters get their `_total` from the client library.
"""

from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

_RESOLVE_BUCKETS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.04, 0.06, 0.1, 0.25, 0.5, 1.0)
_LATENCY_BUCKETS = (
    0.0005,
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
    30.0,
    60.0,
    300.0,
)


class Metrics:
    """The families; parts get this object and count on it."""

    def __init__(self) -> None:
        r = self.registry = CollectorRegistry()
        self.mirror_requests = Counter(
            "rykte_mirror_requests",
            "Requests for content, by where the answer came from.",
            ["registry", "kind", "outcome", "source"],
            registry=r,
        )  # kind manifest|tag|blob; outcome hit|miss|refused; source local|peer|none
        self.request_latency = Histogram(
            "rykte_request_latency_seconds",
            "Time from a request for content to its first and to its last byte.",
            ["kind", "source", "until"],
            buckets=_LATENCY_BUCKETS,
            registry=r,
        )  # until first_byte|last_byte
        self.requests_inflight = Gauge(
            "rykte_requests_inflight", "Requests for content whose body has not ended.", registry=r
        )
        self.sent_bytes = Counter(
            "rykte_sent_bytes", "Body bytes sent to clients.", ["source", "to"], registry=r
        )  # to client|peer
        self.last_success = Gauge(
            "rykte_mirror_last_success_timestamp_seconds",
            "When a peer's content last reached a client whole.",
            registry=r,
        )
        self.resolve_duration = Histogram(
            "rykte_resolve_duration_seconds",
            "Time to find a holder among the peers, or to know that there is none.",
            ["outcome"],
            buckets=_RESOLVE_BUCKETS,
            registry=r,
        )  # outcome hit|miss
        self.probes = Counter(
            "rykte_probes", "HEAD probes sent to peers.", ["result"], registry=r
        )  # hit|miss|full|error
        self.tag_conflicts = Counter("rykte_tag_conflicts", "Tags for which peers gave different digests.", registry=r)
        self.relay_failovers = Counter(
            "rykte_relay_failovers", "Bodies that went on from another holder.", ["reason"], registry=r
        )  # reason refused|closed|stalled|timeout|protocol|changed|corrupt
        self.relay_interrupted = Counter(
            "rykte_relay_interrupted", "Bodies that ended short: no holder was left.", registry=r
        )
        self.verification_failures = Counter(
            "rykte_verification_failures", "Contents whose bytes did not match their digest.", ["source"], registry=r
        )
        self.advertised_images = Gauge("rykte_advertised_images", "Image names told to the cluster.", registry=r)
        self.advertised_keys = Gauge(
            "rykte_advertised_keys", "Keys (digests and references) in the own filter.", registry=r
        )
        self.directory_deltas = Counter(
            "rykte_directory_deltas", "Filter deltas by gossip.", ["direction"], registry=r
        )  # sent|received|refused
        self.directory_gaps = Counter("rykte_directory_gaps", "Gaps seen in a peer's deltas.", registry=r)
        self.directory_syncs = Counter(
            "rykte_directory_syncs", "Anti-entropy exchanges.", ["result"], registry=r
        )  # equal|repaired|failed
        self.directory_filters = Gauge("rykte_directory_filters", "Filters of peers in use.", registry=r)
        self.gossip_events = Counter(
            "rykte_gossip_events", "Membership changes seen.", ["event"], registry=r
        )  # joined|left|failed
        self.store_listings = Counter(
            "rykte_store_listings", "Whole listings of the content store.", ["result"], registry=r
        )  # ok|failed
        self.store_skipped_images = Gauge("rykte_store_skipped_images", "Images that could not be walked.", registry=r)

    def members(self, count: Callable[[], Iterable[tuple[str, int]]]) -> None:
        """Show the number of members by state, asked at each scrape."""
        self.registry.register(_Members(count))


class _Members(Collector):
    def __init__(self, count: Callable[[], Iterable[tuple[str, int]]]) -> None:
        self._count = count

    def collect(self) -> Iterable[GaugeMetricFamily]:
        family = GaugeMetricFamily(
            "rykte_members", "Members of the cluster by state, the own node included.", labels=["state"]
        )
        for state, number in self._count():
            family.add_metric([state], number)
        yield family
