"""What may be mirrored."""

import re

import pytest

from app.admission import Admission
from app.key import Key, Tag

_DIGEST = "sha256:" + "ab" * 32


def _filtered(*expressions: str) -> Admission:
    return Admission(filters=tuple(re.compile(each) for each in expressions))


def test_all_is_admitted_without_settings() -> None:
    """And callers can see that they need not ask."""
    assert Admission().admits("any.test", "a/b", Tag("1"))
    assert not Admission().restricted


def test_an_allow_list_admits_only_its_registries() -> None:
    """Ports are part of the name."""
    admission = Admission(registries=frozenset({"docker.io", "reg.test:5000"}))
    assert admission.admits("reg.test:5000", "a")
    assert not admission.admits("reg.test", "a")
    assert admission.restricted


@pytest.mark.parametrize(
    ("expression", "tag", "admitted"),
    [
        ("^docker.io/library/nginx$", "1.27", False),
        ("^docker.io/library/nginx$", None, False),
        (":latest$", "latest", False),
        (":latest$", "1.27", True),
        (":latest$", None, True),
        ("private", "1.27", True),
        ("lib.*:1", "1.27", False),
        ("^library", "1.27", True),
    ],
)
def test_filters_are_searched_with_and_without_the_tag(expression: str, tag: str | None, admitted: bool) -> None:
    """An anchored repository means all of its tags; a tag's expression leaves digests alone."""
    admission = _filtered("^never$", expression)
    assert admission.admits("docker.io", "library/nginx", Tag(tag) if tag else None) is admitted


@pytest.mark.parametrize(("reference", "admitted"), [("blocked", False), ("open", True), (_DIGEST, True)])
def test_a_key_is_judged_by_its_parts(reference: str, admitted: bool) -> None:
    """A digest has no tag to match."""
    assert _filtered(":blocked").admits_key(Key.parse("docker.io", "a", reference)) is admitted


@pytest.mark.parametrize(
    ("expression", "tag", "mutable"),
    [
        ("latest", "latest", True),
        ("latest", "latest-alpine", False),
        ("latest|edge", "edge", True),
        ("v[0-9]+", "v1.2", False),
        ("", "latest", False),
    ],
)
def test_mutable_tags_are_matched_whole(expression: str, tag: str, mutable: bool) -> None:
    """So that the default means one tag and an empty expression none."""
    admission = Admission(mutable_tags=re.compile(expression))
    assert admission.admits_key(Key("docker.io", "a", Tag(tag))) is not mutable


def test_all_tags_can_be_left_to_the_upstream() -> None:
    """Digests are served all the same: whoever asks for one knows what it wants."""
    admission = Admission(resolve_tags=False)
    assert not admission.admits_key(Key("docker.io", "a", Tag("1.27")))
    assert admission.admits_key(Key.parse("docker.io", "a", _DIGEST))
