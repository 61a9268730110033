"""What operators write, and what is made of it or said about it."""

from pathlib import Path

import pytest

from app.config import values


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("20ms", 0.02),
        ("1s", 1.0),
        ("1.5s", 1.5),
        ("2m", 120.0),
        ("1h", 3600.0),
        ("1m30s", 90.0),
        ("0s", 0.0),
        ("1s500ms", 1.5),
    ],
)
def test_durations_are_seconds(text: str, expected: float) -> None:
    """A number and a unit, or several, as Go programs write them."""
    assert expected == pytest.approx(values.seconds(text))


@pytest.mark.parametrize("text", ["", "s", "-1s", "1 s", "1d", "ms20", "1e3s", "inf", "１s", "1s ", "nan"])
def test_what_is_no_duration_is_refused_with_an_example(text: str) -> None:
    """The error shows how one is written."""
    with pytest.raises(ValueError, match="write a number and ms, s, m or h"):
        values.seconds(text)


def test_a_number_without_unit_names_both_readings() -> None:
    """The likeliest mistake gets the likeliest remedies."""
    with pytest.raises(ValueError, match="has no unit: write 20ms or 20s"):
        values.seconds("20")


def test_a_duration_out_of_range_names_the_range() -> None:
    """Both limits are allowed, what is beyond is not."""
    parse = values.duration("1ms", "10s")
    assert (parse("1ms"), parse("10s")) == (0.001, 10.0)
    with pytest.raises(ValueError, match="write 1ms to 10s"):
        parse("11s")


@pytest.mark.parametrize("text", ["", "-1", "11", "1.0", "x", "٣", "9999999999"])
def test_what_is_no_count_is_refused(text: str) -> None:
    """Only ASCII digits within the range."""
    with pytest.raises(ValueError, match="write 0 to 10"):
        values.count(0, 10)(text)


def test_counts_include_both_limits() -> None:
    """0 and 10 of 0 to 10."""
    assert [values.count(0, 10)(text) for text in ("0", "10", "3")] == [0, 10, 3]


@pytest.mark.parametrize(
    ("text", "expected"), [("true", True), ("TRUE", True), ("1", True), ("no", False), ("off", False)]
)
def test_booleans_in_their_usual_spellings(text: str, expected: bool) -> None:
    """Case does not matter."""
    assert values.boolean(text) is expected


def test_what_is_neither_true_nor_false_is_refused() -> None:
    """An empty text is no `false`."""
    with pytest.raises(ValueError, match="write true or false"):
        values.boolean("")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (":5000", ("", 5000)),
        ("127.0.0.1:5000", ("127.0.0.1", 5000)),
        ("0.0.0.0:1", ("0.0.0.0", 1)),
        ("[::1]:5000", ("::1", 5000)),
        ("[::]:65535", ("::", 65535)),
        ("[2001:DB8:0::1]:80", ("2001:db8::1", 80)),
    ],
)
def test_listen_addresses(text: str, expected: tuple[str, int]) -> None:
    """An empty host stands for all interfaces; addresses are written in their shortest form."""
    assert values.listen_address(text) == expected


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("5000", "has no port"),
        ("127.0.0.1", "has no port"),
        ("::1", "has no port"),
        ("::1:5000:x", "in brackets"),
        ("[::1:5000", "unpaired bracket"),
        ("[::1]5000", "unpaired bracket"),
        ("127.0.0.1:0", "write 1 to 65535"),
        ("127.0.0.1:65536", "write 1 to 65535"),
        ("127.0.0.1:http", "write 1 to 65535"),
        ("localhost:5000", "where an IP address is needed"),
        ("256.0.0.1:5000", "where an IP address is needed"),
        ("[localhost]:5000", "where an IP address is needed"),
    ],
)
def test_what_is_no_listen_address_is_refused_with_the_remedy(text: str, remedy: str) -> None:
    """The error says which part is wrong."""
    with pytest.raises(ValueError, match=remedy):
        values.listen_address(text)


@pytest.mark.parametrize("text", ["0.0.0.0", "::", "224.0.0.1", "255.255.255.255", "ff02::1", "node-1", ""])
def test_an_address_that_nobody_can_reach_is_not_advertised(text: str) -> None:
    """Wildcards, multicast and names are refused."""
    with pytest.raises(ValueError, match="write one"):
        values.ip_address(text)


def test_an_advertised_ipv6_address_may_have_brackets() -> None:
    """Operators copy them from addresses with a port."""
    assert values.ip_address("[fd00::1]") == values.ip_address("fd00::1") == "fd00::1"


def test_peers_are_names_or_addresses_with_or_without_a_port() -> None:
    """Spaces round the commas and a trailing comma do no harm."""
    expected = (("a.test", None), ("b.test", 7000), ("10.0.0.1", None), ("::1", 7000), ("fd00::1", None))
    assert values.peers("a.test, b.test:7000,10.0.0.1 ,[::1]:7000,fd00::1,") == expected


@pytest.mark.parametrize("text", [":7946", "a b", "-a.test", "a..test", "a.test:0", "a.test:7946:1", "x" * 64])
def test_what_is_no_peer_is_refused(text: str) -> None:
    """A bad member of the list fails the list."""
    with pytest.raises(ValueError, match="write"):
        values.peers(f"good.test,{text}")


@pytest.mark.parametrize("text", ["rykte", "rykte.ns.svc.cluster.local.", "_gossip._udp.test", "a" * 63])
def test_dns_names(text: str) -> None:
    """With or without a final dot, which is kept."""
    assert values.dns_name(text) == text


@pytest.mark.parametrize("text", ["", ".", "a b", "a/b", "a..b", "-a", "a" * 64, ".".join(["a" * 60] * 5)])
def test_what_is_no_dns_name_is_refused(text: str) -> None:
    """By the lengths and characters of RFC 1035, underscores forgiven."""
    with pytest.raises(ValueError, match="is no DNS name"):
        values.dns_name(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("docker.io", "docker.io"), ("Reg.Test:5000", "reg.test:5000"), ("https://ghcr.io/", "ghcr.io")],
)
def test_registries_are_hosts(text: str, expected: str) -> None:
    """A scheme is forgiven, capitals are lowered."""
    assert values.registry(text) == expected


@pytest.mark.parametrize("text", ["", "a/b", "https://", "ftp://a", "a:99999", "a b", "*"])
def test_what_is_no_registry_is_refused(text: str) -> None:
    """No paths, no wildcards."""
    with pytest.raises(ValueError, match="write a host"):
        values.registry(text)


def test_a_layout_is_named_by_registry_and_repository() -> None:
    """Both parts are needed, and checked."""
    assert values.repository_name("reg.test:5000/a/b") == ("reg.test:5000", "a/b")
    for wrong in ("nginx", "docker.io/", "docker.io/Nginx", ""):
        with pytest.raises(ValueError, match=r"docker\.io/library/nginx"):
            values.repository_name(wrong)


def test_an_expression_that_does_not_compile_is_explained() -> None:
    """Python's own words are passed on."""
    with pytest.raises(ValueError, match="unterminated subpattern"):
        values.pattern("(")
    with pytest.raises(ValueError, match="Possible nested set"):
        values.pattern("v[[:digit:]]+")


@pytest.mark.parametrize("text", ["", "a/b", "k8s..io", "-a", "a" * 77])
def test_what_containerd_would_refuse_as_a_namespace_is_refused_here(text: str) -> None:
    """Before a connection is made."""
    with pytest.raises(ValueError, match="ctr namespaces list"):
        values.containerd_namespace(text)


def test_labels_are_bounded_and_may_be_empty_where_allowed() -> None:
    """They go into gossip tags, which have 512 bytes in all."""
    assert values.label(63, may_be_empty=True)("") == ""
    assert values.label(4)("ab.c") == "ab.c"
    for wrong in ("", "abcde", "a b", "é", "-a", "a\n"):
        with pytest.raises(ValueError, match="at most 4"):
            values.label(4)(wrong)


def test_paths_are_taken_as_they_are() -> None:
    """Nothing is looked up."""
    assert values.path("/no/such/place") == Path("/no/such/place")
    with pytest.raises(ValueError, match="no path"):
        values.path("a\0b")
