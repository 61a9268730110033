"""What can go wrong in `app.directory`."""


class DirectoryError(Exception):
    """Bytes of a peer could not be understood or are refused (a version, size or amount that we don't take).

    Nothing was changed by them, unless the raising function says what was applied before.
    """


class UnknownVersion(DirectoryError):
    """A format version or a filter size of another release: no fault, that peer is simply not understood."""


class UnknownQuestion(DirectoryError):
    """Another mirror asked for something that this version does not know."""
