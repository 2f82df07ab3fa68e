"""Between the component's host and the package."""

from componentize_py_types import Err, Ok
from wit_world import exports
from wit_world.imports import outgoing_handler, types
from wit_world.imports.streams import StreamError_Closed

import dapr
from app import App
from web import Request, Response

METHODS = {"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"}
CHUNK = 4096  # the most that one write may have

app = App()


class IncomingHandler(exports.IncomingHandler):
    def handle(self, request: types.IncomingRequest, response_out: types.ResponseOutparam) -> None:
        path, _, query = (request.path_with_query() or "/").partition("?")
        asked = Request(name_of(request.method()), path, query, fields(request.headers()), read(request.consume()))
        answer = app.handle(asked)
        response = types.OutgoingResponse(to_fields(answer.headers))
        response.set_status_code(answer.status)
        body = response.body()
        types.ResponseOutparam.set(response_out, Ok(response))
        write(body, answer.body)


def send(authority: str, asked: Request) -> Response:
    request = types.OutgoingRequest(to_fields(asked.headers))
    request.set_method(method_of(asked.method))
    request.set_scheme(types.Scheme_Http())
    request.set_authority(authority)
    request.set_path_with_query(asked.path + (f"?{asked.query}" if asked.query else ""))
    body = request.body()
    future = outgoing_handler.handle(request, None)
    write(body, asked.body)
    with future.subscribe() as ready:
        ready.block()
    match future.get():
        case Ok(Ok(response)):
            return Response(response.status(), fields(response.headers()), read(response.consume()))
        case failed:
            raise OSError(f"no answer from {authority}: {failed}")


dapr.send = send


def name_of(method: types.Method) -> str:
    if isinstance(method, types.Method_Other):
        return method.value
    return type(method).__name__.removeprefix("Method_").upper()


def method_of(name: str) -> types.Method:
    if name in METHODS:
        return getattr(types, f"Method_{name.capitalize()}")()
    return types.Method_Other(name)


def fields(headers: types.Fields) -> dict[str, str]:
    return {name.lower(): value.decode("latin-1") for name, value in headers.entries()}


def to_fields(headers: dict[str, str]) -> types.Fields:
    return types.Fields.from_list([(name, value.encode("latin-1")) for name, value in headers.items()])


def read(body: types.IncomingBody) -> bytes:
    parts = []
    with body, body.stream() as stream:
        try:
            while True:
                parts.append(stream.blocking_read(65536))
        except Err as end:
            if not isinstance(end.value, StreamError_Closed):
                raise
    return b"".join(parts)


def write(body: types.OutgoingBody, content: bytes) -> None:
    with body.write() as stream:
        for start in range(0, len(content), CHUNK):
            stream.blocking_write_and_flush(content[start : start + CHUNK])
    types.OutgoingBody.finish(body, None)
