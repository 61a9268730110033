"""What may be mirrored at all: the allow list of registries, the filters, and the tags that follow their upstream.

Pure. The same object answers for serving and for advertising, so that nothing is advertised that would be refused.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass

from app.key import Key, Tag


@dataclass(frozen=True, slots=True)
class Admission:
    """No `registries` admits all; a match of any filter refuses; a tag is mutable if the pattern matches all of it.

    Without `resolve_tags` every tag is left to its upstream registry.
    """

    registries: Collection[str] = ()
    filters: Collection[re.Pattern[str]] = ()
    mutable_tags: re.Pattern[str] = re.compile("latest")
    resolve_tags: bool = True

    @property
    def restricted(self) -> bool:
        """False when every repository is admitted: callers need not ask then."""
        return bool(self.registries or self.filters)

    def admits(self, registry: str, repository: str, tag: Tag | None = None) -> bool:
        """Whether what is in this repository may be served and advertised.

        A filter is searched in `registry/repository`, and for a tag in `registry/repository:tag` as well: an
        expression that ends in `$` after the repository means all of its tags.
        """
        if self.registries and registry not in self.registries:
            return False
        if not self.filters:
            return True
        name = f"{registry}/{repository}"
        names = (name,) if tag is None else (name, f"{name}:{tag}")
        return not any(each.search(text) for each in self.filters for text in names)

    def admits_key(self, key: Key) -> bool:
        """`admits` for a key; a tag must be one that does not follow the upstream registry, too."""
        if not isinstance(key.reference, Tag):
            return self.admits(key.registry, key.repository)
        return not self._left_to_upstream(key.reference) and self.admits(key.registry, key.repository, key.reference)

    def _left_to_upstream(self, tag: Tag) -> bool:
        return not self.resolve_tags or self.mutable_tags.fullmatch(tag.name) is not None
