"""Access to the recorded bytes; README.md says where each file came from."""

from pathlib import Path

_FOLDER = Path(__file__).parent


def golden(name: str) -> bytes:
    """The bytes of `<name>.hex`, a path below this folder."""
    return bytes.fromhex("".join((_FOLDER / f"{name}.hex").read_text().split()))


def golden_names(kind: str) -> list[str]:
    """The names of all files of a folder and prefix, as `serf-0.9.4/datagram`."""
    return sorted(str(path.relative_to(_FOLDER).with_suffix("")) for path in _FOLDER.glob(f"{kind}*.hex"))
