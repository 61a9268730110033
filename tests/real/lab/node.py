"""One node of the lab, as its kubelet and its operator see it."""

import hashlib
from pathlib import Path

from tests.real.lab.containerd import Containerd
from tests.real.lab.cri import Call, Outcome
from tests.real.lab.image import Image
from tests.real.lab.network import Namespace
from tests.real.lab.rykte import Rykte
from tests.real.lab.upstream import NAME


class PullFailed(Exception):
    """containerd could not pull; the text has its status and message."""


class Node:
    """A containerd and a Rykte on one host. Neither is started by making it."""

    def __init__(self, name: str, namespace: Namespace, containerd: Containerd, rykte: Rykte) -> None:
        self.name = name
        self.namespace = namespace
        self.containerd = containerd
        self.rykte = rykte

    @property
    def logs(self) -> dict[str, str]:
        """The ends of its programs' logs, by title."""
        return {
            f"{self.name}: rykte": self.rykte.process.tail(),
            f"{self.name}: containerd": self.containerd.process.tail(25),
        }

    def start_pull(self, reference: str, timeout_s: float = 60.0) -> Call:
        """CRI PullImage of `repository:tag` or `repository@digest` of the upstream registry, not waited for."""
        return Call(self.containerd.socket, "PullImage", f"{NAME}/{reference}", timeout_s)

    def try_pull(self, reference: str, timeout_s: float = 60.0) -> Outcome:
        """The same, with its end whatever it is."""
        return self.start_pull(reference, timeout_s).outcome()

    def pull(self, reference: str, timeout_s: float = 60.0) -> float:
        """Seconds that a right pull took. Raises `PullFailed`."""
        outcome = self.try_pull(reference, timeout_s)
        if not outcome.ok:
            raise PullFailed(f"{self.name}: {reference}: {outcome.status}: {outcome.message}")
        return outcome.seconds

    def pull_by_ctr(self, reference: str) -> None:
        """The same by containerd's own command. Raises `CommandFailed`."""
        certs = str(self.containerd.certs)
        self.containerd.ctr("image", "pull", "--hosts-dir", certs, f"{NAME}/{reference}")

    def remove(self, reference: str) -> None:
        """CRI RemoveImage: all names of that image. Raises `RuntimeError`."""
        outcome = Call(self.containerd.socket, "RemoveImage", f"{NAME}/{reference}", 30).outcome()
        if not outcome.ok:
            raise RuntimeError(f"{self.name}: remove {reference}: {outcome.status}: {outcome.message}")

    def has_file(self, digest: str) -> bool:
        """Whether containerd's content store has this content whole."""
        return self.containerd.blob(digest).exists()

    def has_whole(self, image: Image) -> bool:
        """Whether each content of the image is in the content store with the right bytes."""
        return all(
            self.has_file(digest) and _digest(self.containerd.blob(digest)) == digest for digest in image.digests
        )

    def points_to(self, reference: str) -> str:
        """The digest that containerd has for this name."""
        for line in self.containerd.ctr("images", "list", f"name=={NAME}/{reference}").splitlines()[1:]:
            return line.split()[2]
        raise RuntimeError(f"{self.name} has no image {reference}")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
