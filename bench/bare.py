"""gRPC with nothing of ours in it: what the same libraries do at best, under the same mutual TLS.

``python -m bench.bare serve PKI`` prints its port; ``... read CONTEXT PORT BYTES`` reads a stream from it.
"""

from __future__ import annotations

import asyncio
import sys
import tomllib
from pathlib import Path
from typing import Any

import grpc

STREAM, ECHO = "/bench/Stream", "/bench/Echo"
CHUNK = 256 * 1024
"""As the largest of StreamOutput (jobworkerd/api/reading.py)."""


class _Handler(grpc.GenericRpcHandler):  # type: ignore[type-arg]  # generic in the stubs alone
    def service(self, handler_call_details: Any) -> Any:  # noqa: ANN401 -- grpc's
        if handler_call_details.method == STREAM:
            return grpc.unary_stream_rpc_method_handler(_stream)
        if handler_call_details.method == ECHO:
            return grpc.unary_unary_rpc_method_handler(_echo)
        return None


async def _stream(request: bytes, context: Any) -> None:  # noqa: ANN401
    left, chunk = int(request), bytes(CHUNK)
    while left > 0:
        await context.write(chunk if left >= CHUNK else chunk[:left])
        left -= CHUNK


async def _echo(request: bytes, _: Any) -> bytes:  # noqa: ANN401
    return request


async def _serve(pki: Path) -> None:
    server = grpc.aio.server(options=(("grpc.so_reuseport", 0),))
    server.add_generic_rpc_handlers((_Handler(),))
    ca, cert, key = ((pki / name).read_bytes() for name in ("ca.crt", "server.crt", "server.key"))
    credentials = grpc.ssl_server_credentials([(key, cert)], ca, require_client_auth=True)
    port = server.add_secure_port("127.0.0.1:0", credentials)
    await server.start()
    print(port, flush=True)
    await server.wait_for_termination()


def connect(context: Path, port: int) -> grpc.Channel:
    """With the key and the certificates of a jobctl context."""
    table = next(iter(tomllib.loads(context.read_text())["contexts"].values()))
    ca, key, cert = (table[name].encode() for name in ("ca", "key", "cert"))
    return grpc.secure_channel(f"127.0.0.1:{port}", grpc.ssl_channel_credentials(ca, key, cert))


def _read(context: Path, port: int, count: int) -> None:
    with connect(context, port) as channel:
        call: Any = channel.unary_stream(STREAM, None, None)
        received = sum(len(message) for message in call(str(count).encode()))
    if received != count:
        sys.exit(f"{received} bytes came, not {count}")


def main(verb: str, *args: str) -> None:
    """Does what the arguments say."""
    if verb == "serve":
        asyncio.run(_serve(Path(args[0])))
    else:
        _read(Path(args[0]), int(args[1]), int(args[2]))


if __name__ == "__main__":
    main(*sys.argv[1:])
