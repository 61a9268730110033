"""Msgpack as memberlist and Serf write it: maps of named fields, read with a range check each.

Written: the old raw format only (no str8, no bin), because the codec of the agents in the field refuses bin.
Read: every form of text, bytes and integers, nil for an empty value, missing fields as zero values,
unknown fields skipped; these leniencies are the ones of the Go codecs (go-msgpack 0.5 and 2.1).
"""

from collections.abc import Callable, Mapping
from typing import Any

import msgpack

from gossip.errors import WireError

#: A decoded map: keys are bytes, whatever msgpack form they came in.
Fields = Mapping[Any, Any]

#: Nobody's name is longer: stock Serf validates 128, and a DNS name ends at 255.
MAX_NAME_BYTES = 512
#: Senders stop at 512 (memberlist `MetaMaxSize`) but receivers store whatever comes; twice that is still harmless.
MAX_META_BYTES = 1024

#: A payload is bounded by what carries it, a datagram or the limits of a stream; this is above both.
MAX_PAYLOAD_BYTES = 1 << 30

#: Elements of one array or map. msgpack allocates an array before it has read any element, so the bound must not
#: depend on what the sender claims. Messages are flat; there is room for extension fields.
MAX_FLAT_ITEMS = 1 << 10
#: The same for Serf's tables by member name and for its event buffer.
MAX_TABLE_ITEMS = 1 << 16
#: Arrays and maps in one message together: an empty one takes a byte on the wire and 64 in memory.
MAX_CONTAINERS = 1 << 16

#: What msgpack raises on bytes that make no object.
MSGPACK_ERRORS = (ValueError, TypeError, msgpack.UnpackException)

_MAPPED_IPV4 = bytes(10) + b"\xff\xff"


def pack(value: object) -> bytes:
    """One object in the old raw format; text by UTF-8, where `surrogateescape` gives foreign bytes back."""
    packed: bytes = msgpack.packb(value, use_bin_type=False, unicode_errors="surrogateescape")
    return packed


def unpack(
    data: bytes | memoryview, max_items: int = MAX_FLAT_ITEMS, hook: Callable[[Any], Any] | None = None
) -> tuple[Any, bytes]:
    """The first object in `data` and the bytes behind it; `hook` sees each container in it. Raises `WireError`."""
    try:
        value = msgpack.unpackb(
            data,
            raw=True,
            strict_map_key=False,
            object_hook=hook,
            list_hook=hook,
            max_array_len=max_items,
            max_map_len=max_items,
        )
    except msgpack.ExtraData as extra:
        return extra.unpacked, bytes(extra.extra)
    except MSGPACK_ERRORS as error:
        raise WireError(f"no msgpack object: {error}") from error
    return value, b""


def as_fields(value: object) -> Fields:
    """`value` if it is a map. Raises `WireError`."""
    if not isinstance(value, dict):
        raise WireError(f"expected a map of fields, got {shown(value)}")
    return value


def unpack_fields(data: bytes | memoryview) -> Fields:
    """The map that `data` begins with; what follows it is ignored, as Go's decoders do. Raises `WireError`."""
    return as_fields(unpack(data)[0])


def unpack_table(data: bytes | memoryview) -> Fields:
    """As `unpack_fields`, for a message of some MB that holds long arrays and maps: slower, and bounded in all."""
    containers = 0

    def counted(container: Any) -> Any:
        nonlocal containers
        containers += 1
        if containers > MAX_CONTAINERS:
            raise ValueError(f"more than {MAX_CONTAINERS} arrays and maps")
        return container

    return as_fields(unpack(data, MAX_TABLE_ITEMS, counted)[0])


def uint(fields: Fields, key: bytes, bits: int) -> int:
    """An unsigned integer below 2^`bits`."""
    value = fields.get(key)
    if value is None:
        return 0
    # A bool is an int to isinstance, but to no Go decoder.
    if type(value) is not int or not 0 <= value < 1 << bits:
        raise WireError(f"{key.decode()} is {shown(value)}, not an unsigned integer of {bits} bits")
    return value


def boolean(fields: Fields, key: bytes) -> bool:
    value = fields.get(key)
    if value is None:
        return False
    if not isinstance(value, bool):
        raise WireError(f"{key.decode()} is {shown(value)}, not a boolean")
    return value


def raw(fields: Fields, key: bytes, max_bytes: int = MAX_PAYLOAD_BYTES) -> bytes:
    """Bytes, at most `max_bytes` of them."""
    value = fields.get(key)
    return b"" if value is None else as_raw(value, key, max_bytes)


def as_raw(value: object, what: bytes, max_bytes: int) -> bytes:
    """`value` if it is bytes; `what` it is called in the error."""
    if not isinstance(value, bytes):
        raise WireError(f"{what.decode()} is {shown(value)}, not bytes")
    if len(value) > max_bytes:
        raise WireError(f"{what.decode()} has {len(value)} bytes, more than {max_bytes}")
    return value


def text(fields: Fields, key: bytes, max_bytes: int = MAX_NAME_BYTES) -> str:
    """Text of any bytes: what is no UTF-8 becomes surrogates, which `pack` turns back."""
    value = fields.get(key)
    return "" if value is None else as_text(value, key, max_bytes)


def as_text(value: object, what: bytes, max_bytes: int = MAX_NAME_BYTES) -> str:
    """`value` as text if it is bytes; `what` it is called in the error."""
    return as_raw(value, what, max_bytes).decode("utf-8", "surrogateescape")


def address(fields: Fields, key: bytes, *, optional: bool = False) -> bytes:
    """A packed address, 4 or 16 bytes; an IPv4 address that came in 16 bytes is given in 4.

    With `optional`, also no bytes at all.
    """
    value = raw(fields, key)
    if len(value) == 16 and value.startswith(_MAPPED_IPV4):
        return value[12:]
    if len(value) not in (4, 16) and not (optional and not value):
        raise WireError(f"{key.decode()} has {len(value)} bytes, an address has 4 or 16")
    return value


def array(fields: Fields, key: bytes) -> list[Any]:
    value = fields.get(key)
    if value is None:
        return []
    if not isinstance(value, list):
        raise WireError(f"{key.decode()} is {shown(value)}, not an array")
    return value


def shown(value: object) -> str:
    """`value` for an error text, whatever its size."""
    written = repr(value) if not isinstance(value, (list, dict)) else f"{type(value).__name__} of {len(value)}"
    return written if len(written) <= 60 else f"{written[:57]}..."
