"""Names of images as their owners write them: what they are the name of, and what is none."""

import pytest

from app.key import Digest, InvalidName, Key, Tag, parse_image_name

DIGEST = Digest.of(b"manifest")
LONG = Digest.of(b"manifest", "sha512")


@pytest.mark.parametrize(
    ("name", "registry", "repository", "reference"),
    [
        ("docker.io/library/nginx:1.27", "docker.io", "library/nginx", Tag("1.27")),
        (f"docker.io/library/nginx@{DIGEST}", "docker.io", "library/nginx", DIGEST),
        (f"docker.io/library/nginx@{LONG}", "docker.io", "library/nginx", LONG),
        (f"docker.io/library/nginx:1.27@{DIGEST}", "docker.io", "library/nginx", DIGEST),
        (f"nginx.example/nginx:1.27@{DIGEST}", "nginx.example", "nginx", DIGEST),
        ("localhost:5000/team/app/part:v1_2.3-4", "localhost:5000", "team/app/part", Tag("v1_2.3-4")),
        ("[fd00::1]:5000/app:1", "[fd00::1]:5000", "app", Tag("1")),
        ("Registry.Example/app:1", "registry.example", "app", Tag("1")),
    ],
)
def test_image_name(name: str, registry: str, repository: str, reference: Digest | Tag) -> None:
    """A tag, a digest, or both, where the digest counts; the host's case does not."""
    assert parse_image_name(name) == Key(registry, repository, reference)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "nginx:1.27",
        str(DIGEST),
        f"overlayfs@{DIGEST}",
        "docker.io/library/nginx",
        "docker.io/library/nginx:",
        "docker.io/library/nginx@1.27",
        "docker.io/library/nginx@",
        f"docker.io//nginx@{DIGEST}",
        f"docker.io/library:5000/nginx@{DIGEST}",
        "docker.io/library:5000/nginx",
        f"docker.io/@{DIGEST}",
        f"docker.io/:1@{DIGEST}",
        "docker.io/library/nginx@sha256:0123",
        "docker.io/Library/nginx:1",
    ],
)
def test_no_image_name(name: str) -> None:
    """Without a registry, without tag and digest, or with a part that is none: not a name that could be asked for."""
    with pytest.raises(InvalidName):
        parse_image_name(name)
