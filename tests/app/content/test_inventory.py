"""The inventory: what it shows and tells for every order of things, and that listings and single changes agree."""

import json

import pytest
from greenlet import GreenletExit
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from app.content.changes import Added, Change, Removed, Skipped, Tagged, Untagged
from app.content.inventory import Content, Inventory
from app.content.store import Descriptor, Image, NotFound, StoreUnavailable
from app.content.walk import MalformedManifest, walk
from app.key import Digest, InvalidName, Key, parse_image_name
from app.media_types import OCI_INDEX, OCI_MANIFEST
from tests.images import TestBlob, TestImage, build_image, build_index

NAME = "registry.test/team/app:1"
KEY = parse_image_name(NAME)


class Owner:
    """What the owner of a store has, and an inventory that is told of it."""

    def __init__(self) -> None:
        self.contents: dict[Digest, bytes] = {}
        self.inventory = Inventory()

    def put(self, *blobs: TestBlob) -> list[Change]:
        for blob in blobs:
            self.contents[blob.digest] = blob.content
            self.inventory.put(blob.digest, Content(len(blob.content)))
        return self.settled()

    def drop(self, digest: Digest) -> list[Change]:
        self.contents.pop(digest, None)
        self.inventory.drop(digest)
        return self.settled()

    def name(self, name: str, target: Descriptor, at: float = 0.0) -> list[Change]:
        self.inventory.put_image(Image(name, target, at))
        return self.settled()

    def listing(self) -> dict[Digest, Content]:
        return {digest: Content(len(content)) for digest, content in self.contents.items()}

    def settled(self) -> list[Change]:
        self.inventory.settle(self.contents.get)
        return self.inventory.drain()


@pytest.fixture
def owner() -> Owner:
    return Owner()


@pytest.fixture
def image() -> TestImage:
    return build_image([b"layer"])


def test_content(owner: Owner) -> None:
    """Content is told once, has a size, and is told again when it is gone."""
    blob = TestBlob(b"abc", "")
    assert owner.put(blob) == [Added(blob.digest)]
    assert owner.put(blob) == []
    assert owner.inventory.size(blob.digest) == 3
    assert blob.digest in owner.inventory
    assert owner.drop(blob.digest) == [Removed(blob.digest)]
    assert owner.drop(blob.digest) == []
    with pytest.raises(NotFound):
        owner.inventory.size(blob.digest)


def test_tagged_after_its_content(owner: Owner, image: TestImage) -> None:
    """A name is told when its manifest is here, whichever came first."""
    assert owner.name(NAME, image.target) == []
    assert owner.put(image.config, *image.layers) != []
    assert owner.inventory.images() == []
    assert owner.put(image.manifest) == [Added(image.digest), Tagged(Image(NAME, image.target, 0.0))]
    assert owner.inventory.resolve(KEY).target == image.target


def test_media_types(owner: Owner, image: TestImage) -> None:
    """The media type is what an image says, else what was guessed for as long as the content is here."""
    owner.put(*image.blobs.values())
    assert owner.inventory.media_type(image.digest) is None
    owner.inventory.guess(image.digest, "guessed")
    assert owner.inventory.media_type(image.digest) == "guessed"
    owner.name(NAME, image.target)
    assert owner.inventory.media_type(image.digest) == OCI_MANIFEST
    owner.inventory.drop_image(NAME)
    owner.drop(image.digest)
    assert owner.inventory.media_type(image.digest) is None
    owner.inventory.guess(image.digest, "too late")
    assert owner.inventory.media_type(image.digest) is None


def test_repositories(owner: Owner, image: TestImage) -> None:
    """A digest belongs to the repositories of all images that name it, and to those of its labels."""
    owner.put(*image.blobs.values())
    owner.name(NAME, image.target)
    owner.name("other.test:5000/x/y@" + str(image.digest), image.target)
    owner.inventory.put(image.config.digest, Content(1, frozenset({("labelled.test", "z")})))
    assert owner.inventory.repositories(image.layers[0].digest) == {
        ("registry.test", "team/app"),
        ("other.test:5000", "x/y"),
    }
    assert ("labelled.test", "z") in owner.inventory.repositories(image.config.digest)
    owner.inventory.drop_image(NAME)
    assert owner.inventory.repositories(image.layers[0].digest) == {("other.test:5000", "x/y")}


def test_labels_stay(owner: Owner) -> None:
    """Word of a content that has no labels does not take back those that are known; a listing does."""
    digest = TestBlob(b"x", "").digest
    owner.inventory.put(digest, Content(1, frozenset({("a", "b")})))
    owner.inventory.put(digest, Content(1))
    assert owner.inventory.repositories(digest) == {("a", "b")}
    owner.inventory.begin_listing()
    owner.inventory.end_listing({digest: Content(1)}, [])
    assert owner.inventory.repositories(digest) == frozenset()


def test_name_moves(owner: Owner, image: TestImage) -> None:
    """A name that points elsewhere is told once more; a new time alone is not told, but resolved."""
    other = build_image([b"other"])
    owner.put(*image.blobs.values(), *other.blobs.values())
    owner.name(NAME, image.target, 1.0)
    assert owner.name(NAME, image.target, 2.0) == []
    assert owner.inventory.resolve(KEY).updated_at == 2.0
    assert owner.name(NAME, other.target, 3.0) == [Tagged(Image(NAME, other.target, 3.0))]
    assert owner.inventory.repositories(image.layers[0].digest) == frozenset()


def test_name_moves_to_what_is_absent(owner: Owner, image: TestImage) -> None:
    """A name that points at what is not here is gone until that comes: the old target would be wrong."""
    other = build_image([b"other"])
    owner.put(*image.blobs.values())
    owner.name(NAME, image.target)
    assert owner.name(NAME, other.target) == [Untagged(NAME)]
    with pytest.raises(NotFound):
        owner.inventory.resolve(KEY)
    assert owner.put(other.manifest) == [Added(other.digest), Tagged(Image(NAME, other.target, 0.0))]


def test_manifest_goes_and_comes(owner: Owner, image: TestImage) -> None:
    """A name goes and comes with its manifest, and only with it."""
    owner.put(*image.blobs.values())
    owner.name(NAME, image.target)
    assert owner.drop(image.layers[0].digest) == [Removed(image.layers[0].digest)]
    assert owner.drop(image.digest) == [Untagged(NAME), Removed(image.digest)]
    assert owner.inventory.images() == []
    assert owner.put(image.manifest) == [Added(image.digest), Tagged(Image(NAME, image.target, 0.0))]


def test_index_alone(owner: Owner) -> None:
    """A name whose index is here is told, though none of its platforms is; without the index it is not."""
    index = build_index({"linux/amd64": build_image([b"a"]), "linux/arm64": build_image([b"b"], "linux/arm64")})
    owner.put(index.top)
    assert owner.name(NAME, index.target) == [Tagged(Image(NAME, index.target, 0.0))]
    assert owner.inventory.resolve(KEY).target == index.target
    assert {digest for digest, _ in owner.inventory.missing(NAME)} == {manifest.digest for manifest in index.manifests}
    assert owner.drop(index.digest) == [Untagged(NAME), Removed(index.digest)]
    with pytest.raises(NotFound):
        owner.inventory.resolve(KEY)


def test_platform_comes_later(owner: Owner) -> None:
    """When an index's missing manifest lands, what it names belongs to the image."""
    here, later = build_image([b"here"]), build_image([b"later"], "linux/arm64")
    index = build_index({"linux/amd64": here, "linux/arm64": later})
    owner.put(index.top, *here.blobs.values())
    owner.name(NAME, index.target)
    assert later.digest in dict(owner.inventory.missing(NAME))
    assert not owner.inventory.repositories(later.layers[0].digest)
    assert owner.put(later.manifest) == [Added(later.digest)]
    assert owner.inventory.repositories(later.layers[0].digest)


def test_skipped_once(owner: Owner, image: TestImage) -> None:
    """An image that can't be walked is told once for each reason, not shown, and hides no other."""
    broken = TestBlob(b"{}", OCI_MANIFEST)
    (_, skipped) = owner.name("bad.test/x:1", broken.descriptor) + owner.put(broken)
    assert isinstance(skipped, Skipped)
    assert owner.name("bad.test/x:1", broken.descriptor) == []
    owner.put(*image.blobs.values())
    owner.name(NAME, image.target)
    assert [found.name for found in owner.inventory.images()] == [NAME]
    assert owner.inventory.skipped().keys() == {"bad.test/x:1"}
    assert owner.name("bad.test/x:1", image.target) == [Tagged(Image("bad.test/x:1", image.target, 0.0))]
    assert owner.inventory.skipped() == {}


def test_tagged_image_breaks(owner: Owner, image: TestImage) -> None:
    """A name that moves to a manifest that is none is gone."""
    broken = TestBlob(b"{}", OCI_MANIFEST)
    owner.put(*image.blobs.values(), broken)
    owner.name(NAME, image.target)
    untagged, skipped = owner.name(NAME, broken.descriptor)
    assert untagged == Untagged(NAME)
    assert isinstance(skipped, Skipped)


def test_broken_child(owner: Owner, image: TestImage) -> None:
    """A child manifest that lands broken takes its image away; when it is gone, the next listing brings it back."""
    broken = TestBlob(b"{}", OCI_MANIFEST)
    index = TestBlob(json.dumps({"manifests": [image.top.as_json(), broken.as_json()]}).encode(), OCI_INDEX)
    owner.put(index, *image.blobs.values())
    assert owner.name(NAME, index.descriptor) == [Tagged(Image(NAME, index.descriptor, 0.0))]
    added, untagged, skipped = owner.put(broken)
    assert (added, untagged) == (Added(broken.digest), Untagged(NAME))
    assert isinstance(skipped, Skipped)
    assert owner.inventory.images() == []
    owner.drop(broken.digest)
    owner.inventory.begin_listing()
    owner.inventory.end_listing(owner.listing(), [Image(NAME, index.descriptor, 0.0)])
    assert owner.settled() == [Tagged(Image(NAME, index.descriptor, 0.0))]
    assert owner.inventory.skipped() == {}


@pytest.mark.parametrize("name", ["no-registry", "UPPER/case repo:1", "registry.test/x", "registry.test/x:", ""])
def test_names_of_no_registry(owner: Owner, image: TestImage, name: str) -> None:
    """A name that no request can ask for is skipped, once."""
    owner.put(*image.blobs.values())
    (skipped,) = owner.name(name, image.target)
    assert isinstance(skipped, Skipped)
    assert owner.name(name, image.target) == []
    owner.inventory.drop_image(name)
    assert owner.inventory.skipped() == {}


def test_same_reference_twice(owner: Owner, image: TestImage) -> None:
    """Two spellings of one reference resolve; when one goes the other is found again by the next listing."""
    spelt = f"registry.test/team/app:1@{image.digest}"
    plain = f"registry.test/team/app@{image.digest}"
    owner.put(*image.blobs.values())
    owner.name(plain, image.target)
    owner.name(spelt, image.target)
    assert owner.inventory.resolve(parse_image_name(spelt)).target == image.target
    owner.inventory.drop_image(plain)
    owner.inventory.begin_listing()
    owner.inventory.end_listing(owner.listing(), [Image(spelt, image.target, 0.0)])
    assert owner.inventory.resolve(parse_image_name(plain)).name == spelt


def test_unreadable_is_tried_again(owner: Owner, image: TestImage) -> None:
    """An image whose manifest can't be read now is neither shown nor skipped, and is walked with the next change."""

    def unreadable(digest: Digest) -> bytes | None:
        raise StoreUnavailable("the daemon is away")

    owner.contents = {digest: blob.content for digest, blob in image.blobs.items()}
    owner.inventory.put(image.digest, Content(1))
    owner.inventory.put_image(Image(NAME, image.target, 0.0))
    owner.inventory.settle(unreadable)
    assert owner.inventory.drain() == [Added(image.digest)]
    assert owner.inventory.images() == []
    assert owner.inventory.skipped() == {}
    assert owner.settled() == [Tagged(Image(NAME, image.target, 0.0))]


def test_ended_while_walking(owner: Owner, image: TestImage) -> None:
    """A greenlet that is killed in the middle of a walk leaves the image to the next one."""

    def killed(digest: Digest) -> bytes | None:
        raise GreenletExit

    owner.contents = {digest: blob.content for digest, blob in image.blobs.items()}
    owner.inventory.put(image.digest, Content(1))
    owner.inventory.put_image(Image(NAME, image.target, 0.0))
    with pytest.raises(GreenletExit):
        owner.inventory.settle(killed)
    assert owner.settled() == [Added(image.digest), Tagged(Image(NAME, image.target, 0.0))]


def test_removed_while_walked(owner: Owner, image: TestImage) -> None:
    """What happens to the image while its manifest is read wins over what was read."""

    def meanwhile(digest: Digest) -> bytes | None:
        owner.inventory.drop_image(NAME)
        return owner.contents.get(digest)

    owner.contents = {digest: blob.content for digest, blob in image.blobs.items()}
    owner.inventory.put(image.digest, Content(1))
    owner.inventory.put_image(Image(NAME, image.target, 0.0))
    owner.inventory.settle(meanwhile)
    assert owner.inventory.drain() == [Added(image.digest)]
    assert owner.inventory.repositories(image.digest) == frozenset()


def test_manifest_lands_while_walked(owner: Owner) -> None:
    """A child manifest that lands while the image is walked is not missed."""
    child = build_image([b"child"])
    other = build_image([b"other"], "linux/arm64")
    index = build_index({"linux/amd64": child, "linux/arm64": other})
    owner.put(index.top, other.manifest)
    just_missed: list[Digest] = []

    def landing(digest: Digest) -> bytes | None:
        content = owner.contents.get(digest)
        if digest == child.digest and content is None:  # it was looked for in vain, and comes right after
            owner.contents[digest] = child.manifest.content
            just_missed.append(digest)
        elif just_missed:
            owner.inventory.put(just_missed.pop(), Content(1))
        return content

    owner.inventory.put_image(Image(NAME, index.target, 0.0))
    owner.inventory.settle(landing)
    assert owner.inventory.repositories(child.layers[0].digest)


def test_listing_takes_over(owner: Owner, image: TestImage) -> None:
    """A listing brings what is new and takes what is gone, and says each once."""
    gone = TestBlob(b"gone", "")
    owner.put(gone)
    owner.name("gone.test/x:1", gone.descriptor)
    owner.contents = {digest: blob.content for digest, blob in image.blobs.items()}
    owner.inventory.begin_listing()
    owner.inventory.end_listing(owner.listing(), [Image(NAME, image.target, 1.0)])
    changes = owner.settled()
    assert Removed(gone.digest) in changes
    assert changes[-1] == Tagged(Image(NAME, image.target, 1.0))
    assert {change.digest for change in changes if isinstance(change, Added)} == image.blobs.keys()
    owner.inventory.begin_listing()
    owner.inventory.end_listing(owner.listing(), [Image(NAME, image.target, 1.0)])
    assert owner.settled() == []
    assert owner.inventory.skipped() == {}


def test_listing_skips(owner: Owner, image: TestImage) -> None:
    """Names that are refused, and names of what is not there, are skipped once, and forgotten when they are gone."""
    owner.inventory.begin_listing()
    owner.inventory.end_listing({}, [Image(NAME, image.target, 0.0)], {"strange": "means nothing"})
    assert owner.settled() == [
        Skipped("strange", "means nothing"),
        Skipped(NAME, f"its target {image.digest} is not in the store"),
    ]
    owner.inventory.begin_listing()
    owner.inventory.end_listing({}, [Image(NAME, image.target, 0.0)], {"strange": "means nothing"})
    assert owner.settled() == []
    owner.inventory.begin_listing()
    owner.inventory.end_listing({}, [])
    assert owner.settled() == []
    assert owner.inventory.skipped() == {}


def test_changes_beat_the_listing(owner: Owner, image: TestImage) -> None:
    """What single changes say while a listing is under way is newer: nothing is lost or resurrected."""
    deleted, landed = TestBlob(b"deleted", ""), TestBlob(b"landed", "")
    moved = build_image([b"moved"])
    owner.put(deleted, *image.blobs.values(), *moved.blobs.values())
    owner.name("deleted.test/x:1", image.target)
    owner.name(NAME, image.target)
    stale, stale_images = (
        owner.listing(),
        [Image(NAME, image.target, 0.0), Image("deleted.test/x:1", image.target, 0.0)],
    )
    owner.inventory.begin_listing()
    owner.drop(deleted.digest)
    owner.inventory.drop_image("deleted.test/x:1")
    owner.put(landed)
    owner.name(NAME, moved.target)
    owner.name("new.test/x:1", image.target)
    owner.settled()
    owner.inventory.end_listing(stale, stale_images)
    assert owner.settled() == []
    assert deleted.digest not in owner.inventory
    assert landed.digest in owner.inventory
    assert {found.name: found.target for found in owner.inventory.images()} == {
        NAME: moved.target,
        "new.test/x:1": image.target,
    }


def test_abandoned_listing(owner: Owner) -> None:
    """A listing that failed leaves everything as it is."""
    blob = TestBlob(b"x", "")
    owner.put(blob)
    owner.inventory.begin_listing()
    owner.inventory.abandon_listing()
    assert owner.settled() == []
    assert blob.digest in owner.inventory


# -- any order of things ------------------------------------------------------

_PLATFORMS = [build_image([b"base", b"%d" % number], f"linux/a{number}") for number in range(3)]
_IMAGES = [*_PLATFORMS, build_index({f"linux/a{number}": image for number, image in enumerate(_PLATFORMS)})]
_BROKEN = TestBlob(b"no manifest", OCI_MANIFEST)
_BLOBS = [*{blob.digest: blob for image in _IMAGES for blob in image.blobs.values()}.values(), _BROKEN]
_TARGETS = [*(image.target for image in _IMAGES), _BROKEN.descriptor]
_NAMES = ["a.test/x:1", "a.test/x:2", "b.test:5000/y:1", "nonsense"]


class InventoryMachine(RuleBasedStateMachine):
    """Whatever comes in whatever order: the answers are those of a look at everything, and so is what was told."""

    @initialize()
    def begin(self) -> None:
        self.owner = Owner()
        self.names: dict[str, Image] = {}
        self.told_digests: set[Digest] = set()
        self.told_tags: dict[str, Digest] = {}
        self.snapshot: tuple[dict[Digest, Content], list[Image]] | None = None

    @rule(blob=st.sampled_from(_BLOBS))
    def put(self, blob: TestBlob) -> None:
        self._hear(self.owner.put(blob))

    @rule(blob=st.sampled_from(_BLOBS))
    def drop(self, blob: TestBlob) -> None:
        self._hear(self.owner.drop(blob.digest))

    @rule(name=st.sampled_from(_NAMES), pointed_at=st.sampled_from(_TARGETS))
    def point(self, name: str, pointed_at: Descriptor) -> None:
        self.names[name] = Image(name, pointed_at, 0.0)
        self._hear(self.owner.name(name, pointed_at))

    @rule(name=st.sampled_from(_NAMES))
    def forget(self, name: str) -> None:
        self.names.pop(name, None)
        self.owner.inventory.drop_image(name)
        self._hear(self.owner.settled())

    @rule()
    def begin_listing(self) -> None:
        self.owner.inventory.begin_listing()
        self.snapshot = (self.owner.listing(), list(self.names.values()))

    @rule()
    def end_listing(self) -> None:
        if self.snapshot is not None:
            self.owner.inventory.end_listing(*self.snapshot)
            self.snapshot = None
            self._hear(self.owner.settled())

    def _hear(self, changes: list[Change]) -> None:
        for change in changes:
            match change:
                case Added(digest):
                    assert digest not in self.told_digests
                    self.told_digests.add(digest)
                case Removed(digest):
                    self.told_digests.remove(digest)
                case Tagged(image):
                    assert self.told_tags.get(image.name) != image.target.digest
                    self.told_tags[image.name] = image.target.digest
                case Untagged(name):
                    del self.told_tags[name]

    @invariant()
    def answers_are_right(self) -> None:
        inventory = self.owner.inventory
        shown = {name: image for name, image in self.names.items() if self._can_be_shown(image)}
        assert set(inventory.digests()) == self.owner.contents.keys() == self.told_digests
        assert {image.name: image for image in inventory.images()} == shown
        assert {name: image.target.digest for name, image in shown.items()} == self.told_tags
        everything = {blob.digest: blob.content for blob in _BLOBS}
        for digest in self.owner.contents:
            # a manifest that went is remembered for what it named: what has this digest can't have changed
            least = self._repositories(shown, digest, self.owner.contents)
            assert least <= inventory.repositories(digest) <= self._repositories(self.names, digest, everything)

    def _repositories(
        self, names: dict[str, Image], digest: Digest, contents: dict[Digest, bytes]
    ) -> set[tuple[str, str]]:
        pairs = set()
        for image in names.values():
            try:
                key = parse_image_name(image.name)
                named = walk(image.target, contents.get).named
            except (InvalidName, MalformedManifest):
                continue
            if digest in {found.digest for found in named}:
                pairs.add((key.registry, key.repository))
        return pairs

    def _can_be_shown(self, image: Image) -> bool:
        try:
            parse_image_name(image.name)
            walk(image.target, self.owner.contents.get)
        except (InvalidName, MalformedManifest):
            return False
        return image.target.digest in self.owner.contents


InventoryMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestInventoryMachine = InventoryMachine.TestCase


def test_key_with_digest(owner: Owner, image: TestImage) -> None:
    """A name by digest resolves by its key."""
    owner.put(*image.blobs.values())
    owner.name(f"registry.test/team/app@{image.digest}", image.target)
    assert owner.inventory.resolve(Key.parse("registry.test", "team/app", str(image.digest))).target == image.target
