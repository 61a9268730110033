"""The names in a layout's index.json."""

import json

import pytest

from app.content.layout.index import REF_NAME, parse_index
from app.content.walk import MalformedManifest
from tests.images import as_json, build_image

TARGET = build_image().target


def _index(*ref_names: object, **more: object) -> bytes:
    entries = [as_json(TARGET, annotations={REF_NAME: name}) for name in ref_names]
    return json.dumps({"schemaVersion": 2, "manifests": entries, **more}).encode()


@pytest.mark.parametrize(
    "name", ["registry.test/team/app:1", "localhost/app:1", "host:5000/app:1", f"registry.test/app@{TARGET.digest}"]
)
def test_full_names(name: str) -> None:
    """A full name stands for itself, with a tag or a digest."""
    names = parse_index(_index(name), None)
    assert names.targets == {name: TARGET}
    assert names.refused == {}


def test_bare_tag() -> None:
    """A bare tag is one of the repository that the option names."""
    assert parse_index(_index("1.27"), "registry.test/team/app").targets == {"registry.test/team/app:1.27": TARGET}


@pytest.mark.parametrize(
    ("ref_name", "reason"),
    [
        ("1.27", "no option says"),
        ("team/app:1", "has no registry"),
        ("registry.test/App:1", "no valid"),
        ("registry.test/app", "no valid"),
        ("not a tag", "no valid tag"),
    ],
)
def test_refused(ref_name: str, reason: str) -> None:
    """What is no name is refused with its reason, and hides no other."""
    names = parse_index(_index(ref_name, "registry.test/good:1"), None)
    assert names.targets == {"registry.test/good:1": TARGET}
    assert reason in names.refused[ref_name]


def test_last_counts() -> None:
    """Of two entries with the same name the last one counts, as tools that append to an index mean it."""
    other = build_image([b"other"]).target
    index = json.loads(_index("registry.test/app:1"))
    index["manifests"].append(as_json(other, annotations={REF_NAME: "registry.test/app:1"}))
    assert parse_index(json.dumps(index).encode(), None).targets == {"registry.test/app:1": other}


def test_entries_without_a_name() -> None:
    """Entries that have no name are content like any other, and of whatever shape no error."""
    entries = [as_json(TARGET), as_json(TARGET, annotations=None), as_json(TARGET, annotations={REF_NAME: 7}), "x", 7]
    names = parse_index(json.dumps({"manifests": entries}).encode(), None)
    assert (names.targets, names.refused) == ({}, {})


def test_malformed_entry() -> None:
    """An entry with a name and no descriptor is refused by that name."""
    index = json.dumps({"manifests": [{"annotations": {REF_NAME: "registry.test/app:1"}}]}).encode()
    assert parse_index(index, None).refused.keys() == {"registry.test/app:1"}


@pytest.mark.parametrize("content", [b"", b'{"manifests": [', b"[]", b"{}", b'{"manifests": {}}', b"[" * 100_000])
def test_no_index(content: bytes) -> None:
    """What is no index, a half-written one for instance, is an error that says so."""
    with pytest.raises(MalformedManifest, match=r"index\.json"):
        parse_index(content, None)


def test_last_counts_also_when_refused() -> None:
    """A name is either usable or refused, whichever its last entry is."""
    broken = {"annotations": {REF_NAME: "1"}}
    good = as_json(TARGET, annotations={REF_NAME: "1"})
    refused = parse_index(json.dumps({"manifests": [good, broken]}).encode(), "registry.test/app")
    assert (refused.targets, refused.refused.keys()) == ({}, {"1"})
    usable = parse_index(json.dumps({"manifests": [broken, good]}).encode(), "registry.test/app")
    assert (usable.targets, usable.refused) == ({"registry.test/app:1": TARGET}, {})
