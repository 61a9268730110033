"""The mirror: composes membership, directory, resolver and relay around a content store."""

__version__ = "0.1.0"
