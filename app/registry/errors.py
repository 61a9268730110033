"""The OCI error table: what can be wrong with a request, and how the answer says so. Pure.

Codes and body by the OCI distribution spec ("Error Codes"); RANGE_INVALID and UNKNOWN are the codes that the
distribution project uses beyond it. Never 429: containerd repeats such a request at once, five times, before it
goes to the next host, while 404 and 503 send it there straight away.
"""

import json
from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType

from app.key import InvalidName
from app.source import Kind


class Fault(Enum):
    """One row of the table: code, status, message."""

    NAME_INVALID = ("NAME_INVALID", 400, "invalid repository or registry name")
    DIGEST_INVALID = ("DIGEST_INVALID", 400, "invalid digest")
    MALFORMED = ("UNSUPPORTED", 400, "malformed request")
    DENIED = ("DENIED", 403, "access denied")
    MANIFEST_UNKNOWN = ("MANIFEST_UNKNOWN", 404, "manifest not held here nor by a peer")
    BLOB_UNKNOWN = ("BLOB_UNKNOWN", 404, "blob not held here nor by a peer")
    NO_ENDPOINT = ("UNSUPPORTED", 404, "this mirror has no such endpoint")
    READ_ONLY = ("UNSUPPORTED", 405, "this mirror only answers reads")
    TOO_LARGE = ("SIZE_INVALID", 413, "request body too large")
    RANGE_INVALID = ("RANGE_INVALID", 416, "range not satisfiable")
    INTERNAL = ("UNKNOWN", 500, "unexpected error")

    @property
    def code(self) -> str:
        return self.value[0]

    @property
    def status(self) -> int:
        return self.value[1]

    @property
    def message(self) -> str:
        return self.value[2]


class OciError(Exception):
    """Ends a request with a row of the table. `headers` belong to the answer (Allow, Content-Range)."""

    def __init__(self, fault: Fault, detail: str = "", headers: Mapping[str, str] = MappingProxyType({})) -> None:
        super().__init__(f"{fault.code}: {fault.message} ({detail})" if detail else f"{fault.code}: {fault.message}")
        self.fault = fault
        self.detail = detail
        self.headers = headers

    def body(self) -> bytes:
        """The JSON document of the answer."""
        error = {"code": self.fault.code, "message": self.fault.message, "detail": self.detail}
        return json.dumps({"errors": [error]}).encode()


_UNKNOWN = {Kind.MANIFEST: Fault.MANIFEST_UNKNOWN, Kind.BLOB: Fault.BLOB_UNKNOWN}


def unknown(kind: Kind, detail: str = "") -> OciError:
    """Nobody has it, or nobody may say so: containerd goes to the next host at once."""
    return OciError(_UNKNOWN[kind], detail)


def invalid(error: InvalidName, kind: Kind) -> OciError:
    """Text that could not be parsed.

    A tag that can't exist is an unknown manifest, as the spec's conformance suite expects; everything else is
    the client's mistake.
    """
    if error.kind == "digest":
        return OciError(Fault.DIGEST_INVALID, str(error))
    if error.kind == "tag":
        return unknown(kind, str(error))
    return OciError(Fault.NAME_INVALID, str(error))
