"""Which registries get a label of their own."""

from app.registry_labels import RegistryLabels
from tests.fake_clock import FakeClock
from tests.fake_store import FakeStore
from tests.images import build_image


def test_those_of_the_store_and_of_the_options() -> None:
    """Nothing that a client asks for adds to them."""
    store = FakeStore()
    store.put_image("quay.io/some/image:1", build_image())
    store.put_image("registry.example:5000/other/image:1", build_image())
    labels = RegistryLabels(store, ["docker.io"], FakeClock())
    assert labels() == {"docker.io", "quay.io", "registry.example:5000"}


def test_they_are_looked_up_now_and_then() -> None:
    """A new registry gets its label, and one whose last image went loses it, within ten seconds."""
    store, clock = FakeStore(), FakeClock()
    labels = RegistryLabels(store, ["docker.io"], clock)
    assert labels() == {"docker.io"}

    store.put_image("quay.io/some/image:1", build_image())
    assert labels() == {"docker.io"}
    clock.now += 10.0
    assert labels() == {"docker.io", "quay.io"}

    store.drop_image("quay.io/some/image:1")
    clock.now += 10.0
    assert labels() == {"docker.io"}
