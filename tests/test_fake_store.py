"""The fake store passes the suite of the real ones, with memory files and without files."""

from collections.abc import Iterator

import pytest

from app.content.store import Descriptor
from app.key import Digest
from tests.contracts.content_store import ContentStoreSuite
from tests.fake_store import FakeStore


class FakeHarness:
    """The fake is its own owner."""

    def __init__(self, *, has_files: bool) -> None:
        self.store = FakeStore(has_files=has_files)

    def put_blob(self, content: bytes) -> Digest:
        return self.store.put_blob(content)

    def drop_blob(self, digest: Digest) -> None:
        self.store.drop_blob(digest)

    def put_name(self, name: str, target: Descriptor) -> None:
        self.store.put_name(name, target)

    def drop_name(self, name: str) -> None:
        self.store.drop_image(name)

    def skipped(self) -> int:
        return len(self.store.skipped())


class TestFakeStore(ContentStoreSuite):
    """The suite, twice."""

    @pytest.fixture(params=[True, False], ids=["files", "no-files"])
    def harness(self, request: pytest.FixtureRequest) -> Iterator[FakeHarness]:
        harness = FakeHarness(has_files=request.param)
        yield harness
        harness.store.stop()
