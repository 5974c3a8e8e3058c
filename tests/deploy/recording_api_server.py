"""As much of an API server as kubectl needs to apply one StatefulSet: it records what it is sent.

It decides nothing: what kubectl sends is what kubectl made of the manifests and of what it applied
last.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, Final, NamedTuple

import yaml

LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"
_APPS: Final = {"groupVersion": "apps/v1", "version": "v1"}
_STATEFULSETS: Final = {
    "name": "statefulsets",
    "singularName": "statefulset",
    "namespaced": True,
    "kind": "StatefulSet",
    "verbs": ["get", "patch"],
}
_DISCOVERY: Final[dict[str, dict[str, Any]]] = {
    "/api": {"kind": "APIVersions", "versions": ["v1"]},
    "/api/v1": {"kind": "APIResourceList", "groupVersion": "v1", "resources": []},
    "/apis": {
        "kind": "APIGroupList",
        "groups": [{"name": "apps", "versions": [_APPS], "preferredVersion": _APPS}],
    },
    "/apis/apps/v1": {
        "kind": "APIResourceList",
        "groupVersion": "apps/v1",
        "resources": [_STATEFULSETS],
    },
}
_NOT_FOUND: Final = {"kind": "Status", "status": "Failure", "reason": "NotFound", "code": 404}


class Patch(NamedTuple):
    """What kubectl asked for."""

    kind: str
    """The media type."""
    manager: str
    content: dict[str, Any]


class ApiServer(ThreadingHTTPServer):
    """Holds one StatefulSet, as it was applied by kubectl; patches change what was applied last."""

    def __init__(self, statefulset: dict[str, Any]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.patches: list[Patch] = []
        metadata = statefulset["metadata"]
        self.path = f"/apis/apps/v1/namespaces/{metadata['namespace']}/statefulsets/featom"
        applied = {LAST_APPLIED: json.dumps(statefulset)}
        self.live = statefulset | {"metadata": metadata | {"annotations": applied}}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def patch(self, patch: Patch) -> None:
        self.patches.append(patch)
        annotations = patch.content["metadata"].get("annotations", {})
        self.live["metadata"]["annotations"] |= annotations


class _Handler(BaseHTTPRequestHandler):
    server: ApiServer

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        found = self.server.live if path == self.server.path else _DISCOVERY.get(path)
        self._answer(found or _NOT_FOUND, 200 if found else 404)

    def do_PATCH(self) -> None:
        path, _, query = self.path.partition("?")
        content = self.rfile.read(int(self.headers["content-length"]))
        assert path == self.server.path
        options = dict(each.split("=") for each in query.split("&") if each)
        manager = options.get("fieldManager", "")
        kind = self.headers["content-type"]
        self.server.patch(Patch(kind, manager, yaml.safe_load(content)))
        self._answer(self.server.live, 200)

    def _answer(self, content: dict[str, Any], code: int) -> None:
        body = json.dumps(content).encode()
        self.send_response(code)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing: the test looks at the patches."""


@contextmanager
def recording(statefulset: dict[str, Any]) -> Iterator[ApiServer]:
    """An API server for as long as the block, in which this was applied by kubectl."""
    with ApiServer(statefulset) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
