"""An empty unary echo on grpc.aio and uvloop: the most that any handler on grpc.aio could answer.

Imports nothing of the project, so that an interpreter with only grpcio and uvloop can run it:
`python echo_server.py PORT`.
"""

import sys

import grpc
import uvloop

METHOD = "/featom.benchmarks.EchoService/Echo"
# As large as the answer of GetAggregate.
ANSWER = bytes(1_700)


async def echo(request: bytes, context: object) -> bytes:
    return ANSWER


async def serve(port: int) -> None:
    _, service, method = METHOD.split("/")
    handler: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(echo)
    server = grpc.aio.server()
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(service, {method: handler}),)
    )
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
