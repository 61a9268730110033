"""Asking a running node by the JSON API on its metrics port."""

import json
from collections.abc import Mapping
from typing import Any

import click
import requests

# A cluster of 5,000 members fills about 1 MB.
_MAX_ANSWER_BYTES = 32 * 1024 * 1024
_CHUNK_BYTES = 256 * 1024


class ApiError(click.ClickException):
    """The node could not be asked, or its answer could not be used; one line that says what to do."""


class Api:
    """`base` is the address of the metrics port, a URL or `host:port`. Raises `ApiError` for all that goes wrong."""

    def __init__(self, base: str, timeout_s: float) -> None:
        self._base = (base if "://" in base else f"http://{base}").rstrip("/")
        self._timeout_s = timeout_s

    def get(self, what: str, **query: str) -> dict[str, Any]:
        """The object at `/api/v1/<what>`."""
        url = f"{self._base}/api/v1/{what}"
        try:
            with requests.Session() as session:
                session.trust_env = False  # a proxy from the environment knows nothing of this node
                with session.get(url, params=query, timeout=self._timeout_s, stream=True) as response:
                    return self._document(response)
        except requests.exceptions.Timeout as error:
            raise ApiError(
                f"{self._base} did not answer within {self._timeout_s:g} s: is the node stuck (see its log),"
                " or is a firewall between?"
            ) from error
        except requests.exceptions.ConnectionError as error:
            raise ApiError(
                f"nothing answers at {self._base} ({_reason(error)}): is `rykte serve` running there? Its metrics"
                " address is given by --api"
            ) from error
        except (requests.exceptions.ChunkedEncodingError, requests.exceptions.ContentDecodingError) as error:
            raise ApiError(
                f"the answer of {self._base} breaks off or can't be read: is --api the metrics address of a node, by"
                " default port 9090?"
            ) from error
        except (requests.exceptions.RequestException, ValueError) as error:
            raise ApiError(f"{self._base} can't be asked ({error}): write --api as http://HOST:PORT") from error

    def _document(self, response: requests.Response) -> dict[str, Any]:
        body = b""
        for chunk in response.iter_content(_CHUNK_BYTES):
            body += chunk
            if len(body) > _MAX_ANSWER_BYTES:
                raise ApiError(f"{self._base} answers without end: is --api the metrics address of a Rykte node?")
        try:
            document = json.loads(body)
        except (ValueError, RecursionError):
            document = None
        if response.status_code == 400 and isinstance(document, dict) and isinstance(document.get("error"), str):
            raise ApiError(printable(document["error"]))
        if response.status_code != 200 or not isinstance(document, dict):
            raise ApiError(
                f"{self._base} gives no status of Rykte (HTTP {response.status_code}): is --api the metrics address"
                " of a node, by default port 9090?"
            )
        return document


def take(document: Mapping[str, Any], name: str, *kinds: type) -> Any:
    """The member `name` of an answer, which must be of one of these kinds. Raises `ApiError`."""
    value = document.get(name)
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
        raise ApiError(
            f"the node's answer has no usable {name!r}: is it of another version than this command (rykte --version)?"
        )
    return value


def printable(text: object) -> str:
    """Text from other machines with nothing in it that a terminal would obey."""
    return "".join(each if each.isprintable() else "?" for each in str(text))


def _reason(error: requests.exceptions.ConnectionError) -> str:
    """The system's own words, which are at the end of a chain of wrappers."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror.lower()
        reason = cause.args[0] if cause.args else None
        inner = getattr(reason, "reason", reason)
        cause = inner if isinstance(inner, BaseException) else cause.__cause__ or cause.__context__
    return "connection failed"
