"""A gRPC service in a process of its own: prints its port, answers what it is asked."""

import asyncio
import sys

import grpc


async def main():
    """Serves until it is killed."""
    server = grpc.aio.server()

    async def same(request, _context):
        return request

    handlers = {"Echo": grpc.unary_unary_rpc_method_handler(same)}
    server.add_registered_method_handlers("test.Things", handlers)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(main())
