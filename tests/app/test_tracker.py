"""The tracker tells the cluster exactly what could be served."""

import re

import gevent
import pytest
from structlog.testing import capture_logs

from app.admission import Admission
from app.content.store import Image
from app.key import parse_image_name
from app.metrics import Metrics
from app.tracker import Tracker
from tests.fake_store import FakeStore
from tests.images import build_image

NAME = "docker.io/library/nginx:1.27"
ONLY_LIBRARY = Admission(filters=[re.compile("^[^/]*/(?!library/)")])


class Told:
    """A directory that only remembers; it refuses what the real one is never told: a key twice, or one unknown."""

    def __init__(self) -> None:
        self.keys: set[int] = set()

    def announce(self, fingerprint: int) -> None:
        assert fingerprint not in self.keys
        self.keys.add(fingerprint)

    def withdraw(self, fingerprint: int) -> None:
        self.keys.remove(fingerprint)


class Bench:
    """A tracker between a fake store and a fake directory."""

    def __init__(self, admission: Admission | None = None) -> None:
        self.store = FakeStore()
        self.told = Told()
        self.metrics = Metrics()
        self.tracker = Tracker(self.store, self.told, admission=admission or Admission(), metrics=self.metrics)

    def start(self) -> "Bench":
        self.store.start(self.tracker)
        return self

    def gauges(self) -> tuple[float | None, float | None]:
        value = self.metrics.registry.get_sample_value
        return value("rykte_advertised_images"), value("rykte_advertised_keys")


def fingerprint(name: str) -> int:
    return parse_image_name(name).fingerprint


def test_content_that_is_there_at_the_start_is_told() -> None:
    """All digests of an image and the fingerprint of its tag are announced; the gauges say how many."""
    bench = Bench()
    image = build_image(layers=[b"one", b"two"])
    bench.store.put_image(NAME, image)

    bench.start()

    assert bench.told.keys == {digest.fingerprint for digest in image.blobs} | {fingerprint(NAME)}
    assert bench.gauges() == (1.0, len(image.blobs) + 1.0)


def test_a_blob_is_told_and_withdrawn_at_once() -> None:
    """A digest is told the moment the store has it, and withdrawn the moment it has not."""
    bench = Bench().start()

    digest = bench.store.put_blob(b"content")
    assert bench.told.keys == {digest.fingerprint}

    bench.store.drop_blob(digest)
    assert bench.told.keys == set()
    assert bench.gauges() == (0.0, 0.0)


def test_a_removed_image_withdraws_its_tag_only() -> None:
    """Its digests stay as long as their content is there."""
    bench = Bench().start()
    image = build_image(layers=[b"one"])
    bench.store.put_image(NAME, image)

    bench.store.drop_image(NAME)

    assert bench.told.keys == {digest.fingerprint for digest in image.blobs}


@pytest.mark.parametrize("name", ["docker.io/library/nginx:latest", "docker.io/library/nginx@sha256:" + "0" * 64])
def test_names_that_are_no_tag_to_be_answered_are_not_told(name: str) -> None:
    """A mutable tag follows the upstream, and a name with a digest is told by its digest."""
    bench = Bench().start()
    image = build_image()

    bench.store.put_image(name, image)

    assert bench.told.keys == {digest.fingerprint for digest in image.blobs}
    assert bench.gauges()[0] == 0.0


def test_no_tag_is_told_if_tags_are_not_resolved() -> None:
    """With --resolve-tags off nobody would be answered."""
    bench = Bench(Admission(resolve_tags=False)).start()
    image = build_image()

    bench.store.put_image(NAME, image)

    assert bench.told.keys == {digest.fingerprint for digest in image.blobs}


def test_a_tag_is_told_only_while_its_manifest_is_here() -> None:
    """The tag waits for the manifest that it points at, goes with it, and comes back with it."""
    bench = Bench()
    target = build_image().target
    bench.tracker.tagged(Image(NAME, target, 0.0))
    assert bench.told.keys == set()

    bench.tracker.added(target.digest)
    assert bench.told.keys == {target.digest.fingerprint, fingerprint(NAME)}

    bench.tracker.removed(target.digest)
    assert bench.told.keys == set()

    bench.tracker.added(target.digest)
    assert fingerprint(NAME) in bench.told.keys


def test_a_moved_tag_stays_one_key() -> None:
    """A tag that points at another manifest which is here is neither withdrawn nor told twice."""
    bench = Bench().start()
    bench.store.put_image(NAME, build_image(layers=[b"old"]))
    new = build_image(layers=[b"new"])

    bench.store.put_image(NAME, new)
    bench.store.drop_blob(build_image(layers=[b"old"]).digest)

    assert fingerprint(NAME) in bench.told.keys
    assert bench.gauges()[0] == 1.0


def test_a_tag_moved_to_what_is_not_here_is_withdrawn() -> None:
    """Nobody is sent to a manifest that can't be served."""
    bench = Bench()
    old, new = build_image(layers=[b"old"]).target, build_image(layers=[b"new"]).target
    bench.tracker.added(old.digest)
    bench.tracker.tagged(Image(NAME, old, 0.0))

    bench.tracker.tagged(Image(NAME, new, 0.0))
    assert bench.told.keys == {old.digest.fingerprint}

    bench.tracker.added(new.digest)
    assert fingerprint(NAME) in bench.told.keys


def test_two_names_of_one_key_are_told_once() -> None:
    """Names that differ in the case of the host are one key; it stays until the last of them goes."""
    bench = Bench()
    target = build_image().target
    bench.tracker.added(target.digest)
    bench.tracker.tagged(Image("Reg.test/app:1", target, 0.0))
    bench.tracker.tagged(Image("reg.test/app:1", target, 0.0))

    bench.tracker.untagged("Reg.test/app:1")
    assert fingerprint("reg.test/app:1") in bench.told.keys

    bench.tracker.untagged("reg.test/app:1")
    assert bench.told.keys == {target.digest.fingerprint}


def test_the_same_news_twice_changes_nothing() -> None:
    """A store may repeat itself after it lost its connection."""
    bench = Bench()
    target = build_image().target
    for _ in range(2):
        bench.tracker.added(target.digest)
        bench.tracker.tagged(Image(NAME, target, 0.0))
    assert len(bench.told.keys) == 2

    for _ in range(2):
        bench.tracker.untagged(NAME)
        bench.tracker.removed(target.digest)
    assert bench.told.keys == set()


def test_a_bad_name_is_logged_once_and_hides_no_other() -> None:
    """A name without a registry can't be asked for."""
    bench = Bench()
    target = build_image().target
    bench.tracker.added(target.digest)

    with capture_logs() as logs:
        bench.tracker.tagged(Image("nonsense", target, 0.0))
        bench.tracker.tagged(Image("nonsense", target, 0.0))
        bench.tracker.tagged(Image(NAME, target, 0.0))

    assert [(line["event"], line["image"]) for line in logs] == [("image name not advertised", "nonsense")]
    assert fingerprint(NAME) in bench.told.keys


def test_a_filtered_digest_is_told_when_its_repository_is_known_and_admitted() -> None:
    """Content comes before its name: it is not told until a review finds that an admitted image has it."""
    bench = Bench(ONLY_LIBRARY).start()
    image = build_image()
    for blob in image.blobs.values():
        bench.store.put_blob(blob.content)
    assert bench.told.keys == set()

    bench.store.put_name(NAME, image.target)
    bench.tracker.review()

    assert bench.told.keys == {digest.fingerprint for digest in image.blobs} | {fingerprint(NAME)}


def test_what_is_not_admitted_is_never_told() -> None:
    """Neither the tag nor the content of a refused repository."""
    bench = Bench(ONLY_LIBRARY).start()
    bench.store.put_image("docker.io/secret/app:1", build_image())

    bench.tracker.review()

    assert bench.told.keys == set()


def test_content_that_only_refused_images_still_need_is_withdrawn() -> None:
    """When the admitted name goes, a review withdraws what is left to the refused one."""
    bench = Bench(ONLY_LIBRARY).start()
    image = build_image()
    bench.store.put_image(NAME, image)
    bench.store.put_image("docker.io/secret/app:1", image)
    bench.tracker.review()
    assert len(bench.told.keys) == len(image.blobs) + 1

    bench.store.drop_image(NAME)
    bench.tracker.review()

    assert bench.told.keys == set()


def test_the_tracker_reviews_by_itself() -> None:
    """A digest whose name came late is told without anybody calling `review`."""
    bench = Bench(ONLY_LIBRARY).start()
    image = build_image()
    bench.tracker.start()
    try:
        bench.store.put_image(NAME, image)
        with gevent.Timeout(30):
            while image.digest.fingerprint not in bench.told.keys:
                gevent.sleep(0.01)
    finally:
        bench.tracker.stop()
        bench.tracker.stop()


def test_nothing_runs_without_filters() -> None:
    """Where all is admitted there is nothing to look at again."""
    bench = Bench()
    bench.tracker.start()
    bench.tracker.stop()
    assert bench.told.keys == set()
