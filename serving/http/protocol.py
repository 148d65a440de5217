"""The HTTP protocol under the application, with problem documents for what is not even HTTP."""

from __future__ import annotations

import uuid

import orjson
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from serving.http.problems import MEDIA_TYPE, Problem


class ProblemProtocol(HttpToolsProtocol):
    """uvicorn's protocol over httptools; the application never sees a request that this answers."""

    def send_400_response(self, msg: str) -> None:
        """Answers what cannot be parsed, and closes the connection."""
        problem = Problem(400, "malformed-request", f"{msg} Send HTTP/1.1, with everything in the path encoded.")
        body = orjson.dumps(problem.to_json(f"urn:bookmatch:request:{uuid.uuid4().hex}"))
        head = (
            "HTTP/1.1 400 Bad Request\r\n"
            f"content-type: {MEDIA_TYPE}\r\n"
            f"content-length: {len(body)}\r\n"
            "connection: close\r\n\r\n"
        )
        self.transport.write(head.encode("ascii") + body)
        self.transport.close()
