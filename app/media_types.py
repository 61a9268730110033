"""The media types of manifests, of the OCI image spec and of Docker's schema 2, which have the same shape. Pure."""

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
#: Of release candidates of the image spec 1.1 only, but pushed by some tools.
OCI_ARTIFACT = "application/vnd.oci.artifact.manifest.v1+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"

INDEX_TYPES = frozenset({OCI_INDEX, DOCKER_LIST})
#: All that may be asked of a manifest endpoint.
MANIFEST_TYPES = INDEX_TYPES | {OCI_MANIFEST, OCI_ARTIFACT, DOCKER_MANIFEST}
