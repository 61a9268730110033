"""The names in an `index.json` of an OCI image layout (pure; image-layout.md and annotations.md of the image spec)."""

import json
from dataclasses import dataclass

from app.content.store import Descriptor
from app.content.walk import MalformedManifest, parse_descriptor
from app.key import InvalidName, Tag, parse_image_name

REF_NAME = "org.opencontainers.image.ref.name"
MAX_INDEX_BYTES = 16 << 20  # some 50,000 images


@dataclass(frozen=True, slots=True)
class LayoutNames:
    """`targets`: full image name -> what it points at. `refused`: what else there is for a name -> why it is none."""

    targets: dict[str, Descriptor]
    refused: dict[str, str]


def parse_index(content: bytes, default_name: str | None) -> LayoutNames:
    """The entries that have a `ref.name`; of several with the same one the last counts.

    A full name (`host/repository:tag`, the host with a dot, a port, or `localhost`, as everywhere) stands for itself, a
    bare tag for that tag of `default_name`, a `registry/repository`. Raises `MalformedManifest` if it is no index.
    """
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise MalformedManifest(f"index.json is no JSON: {error}") from error
    entries = document.get("manifests") if isinstance(document, dict) else None
    if not isinstance(entries, list):
        raise MalformedManifest("index.json has no list of manifests")
    names = LayoutNames({}, {})
    for entry in entries:
        ref_name = _ref_name(entry)
        if ref_name is None:
            continue
        full_name = ref_name
        try:
            full_name = _full_name(ref_name, default_name)
            target = parse_descriptor(entry, "index.json")
        except (InvalidName, MalformedManifest) as error:
            names.targets.pop(full_name, None)
            names.refused[ref_name] = str(error)
        else:
            names.targets[full_name] = target
            names.refused.pop(ref_name, None)
    return names


def _ref_name(entry: object) -> str | None:
    annotations = entry.get("annotations") if isinstance(entry, dict) else None
    name = annotations.get(REF_NAME) if isinstance(annotations, dict) else None
    return name if isinstance(name, str) else None


def _full_name(ref_name: str, default_name: str | None) -> str:
    host, slash, _ = ref_name.partition("/")
    if slash:
        if not ("." in host or ":" in host or host == "localhost"):
            raise InvalidName("image name: it has no registry", ref_name)
        parse_image_name(ref_name)
        return ref_name
    tag = Tag.parse(ref_name)
    if default_name is None:
        raise InvalidName("image name: it is a bare tag, and no option says of which registry/repository", ref_name)
    return f"{default_name}:{tag}"
