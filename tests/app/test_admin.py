"""The metrics port's own app."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from flask.testing import FlaskClient
from structlog.testing import capture_logs

from app.admin import create_admin
from app.key import InvalidName
from app.metrics import Metrics


def holders(reference: str) -> Mapping[str, Any]:
    if reference == "crash":
        raise RuntimeError("a bug")
    if "/" not in reference:
        raise InvalidName("digest", reference)
    return {"key": reference, "holders": [{"node": "a", "host": "10.0.0.1", "state": "alive", "confirmed": True}]}


def client(problem: str | None = None, reason: str | None = None) -> FlaskClient:
    metrics = Metrics()
    metrics.advertised_keys.set(7)
    return create_admin(
        registry=metrics.registry,
        alive=lambda: problem,
        ready=lambda: reason,
        status=lambda: {"node": "a", "ready": reason is None},
        members=lambda: {"members": []},
        holders=holders,
    ).test_client()


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("", "text/plain"),
        ("application/openmetrics-text;version=1.0.0", "application/openmetrics-text"),
        ("application/openmetrics-text;version=x", "text/plain"),
        ("text/plain;version=1.\u00b2", "text/plain"),
    ],
)
def test_metrics_come_in_the_format_that_is_asked_for(accept: str, content_type: str) -> None:
    """Prometheus's own text, or OpenMetrics; the text also for a version that is none."""
    answer = client().get("/metrics", headers={"Accept": accept})
    assert answer.status_code == 200
    assert answer.content_type.startswith(content_type)
    assert "rykte_advertised_keys 7.0" in answer.text


@pytest.mark.parametrize(
    ("path", "trouble", "status", "text"),
    [
        ("/livez", {}, 200, "ok"),
        ("/livez", {"problem": "the gossip thread has died"}, 503, "the gossip thread has died"),
        ("/livez", {"reason": "starting"}, 200, "ok"),
        ("/readyz", {}, 200, "ok"),
        ("/readyz", {"reason": "not joined yet"}, 503, "not joined yet"),
    ],
)
def test_probes_say_what_is_wrong(path: str, trouble: dict[str, str], status: int, text: str) -> None:
    """A node that is not ready is alive all the same."""
    answer = client(**trouble).get(path)
    assert (answer.status_code, answer.text.strip()) == (status, text)


@pytest.mark.parametrize(
    ("path", "document"),
    [
        ("/api/v1/status", {"node": "a", "ready": True}),
        ("/api/v1/members", {"members": []}),
        (
            "/api/v1/holders?ref=docker.io/library/nginx:1.27",
            {
                "key": "docker.io/library/nginx:1.27",
                "holders": [{"node": "a", "host": "10.0.0.1", "state": "alive", "confirmed": True}],
            },
        ),
    ],
)
def test_the_api_gives_what_it_was_given(path: str, document: dict[str, Any]) -> None:
    """As JSON."""
    answer = client().get(path)
    assert (answer.status_code, answer.content_type) == (200, "application/json")
    assert json.loads(answer.data) == document


@pytest.mark.parametrize("query", ["", "?ref=", "?ref=nginx", "?ref=a/b:c&ref=d/e:f", "?other=a/b:c"])
def test_holders_of_what_is_no_reference(query: str) -> None:
    """400, with what is wrong and what is expected."""
    answer = client().get(f"/api/v1/holders{query}")
    assert answer.status_code == 400
    assert "ref" in json.loads(answer.data)["error"]


@pytest.mark.parametrize("path", ["/", "/v2/", "/api/v1/", "/api/v1/nope", "/metrics/x", "/_rykte/v1/directory/x"])
def test_everything_else_is_404(path: str) -> None:
    """Nothing of the registry's is here."""
    answer = client().get(path)
    assert answer.status_code == 404
    assert path in json.loads(answer.data)["error"]


def test_nothing_can_be_changed() -> None:
    """405 with what is allowed."""
    answer = client().post("/api/v1/status")
    assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, HEAD")


def test_a_bug_is_logged_and_not_shown() -> None:
    """The client is told where to look."""
    with capture_logs() as logs:
        answer = client().get("/api/v1/holders?ref=crash")
    assert (answer.status_code, json.loads(answer.data)) == (500, {"error": "unexpected error, see the log"})
    assert logs[0]["path"] == "/api/v1/holders"
