"""
A gRPC transport inside one process: generated stubs on one end, servicers on the other.

`InProcessChannel` is a `grpc.aio.Channel` and `InProcessServer` a `grpc.aio.Server`, so
that `FooStub(channel)` and `add_FooServicer_to_server(servicer, server)` work unchanged.
Deadlines, metadata, status with details, cancellation, back-pressure and server
interceptors behave as over TCP; one contract suite runs over both. What differs:

* **Messages pass by reference.** Nothing is serialised. Whoever has sent a message, or
  received one, never changes it: the other side holds the same object.
* There is no limit on the size of a message, and compression and call credentials are
  accepted and ignored.
* Handlers are `async`; a plain function is called on the event loop.
* A handler that lets an `asyncio.CancelledError` out although nobody cancelled its call
  ends the call as CANCELLED. grpc.aio leaves that client waiting for its deadline.
* A call with one request and one response that is awaited at once is served within the task
  that awaits it. A handler that swallows the cancel of that task hides it from the client, as
  any coroutine does.
* A client's cancel always cuts off a handler that reads requests by CancelledError. Over
  TCP such a handler may see its requests end as if the client had sent all of them, so
  one that acts upon the end asks for a last message that says so.

Client and server live on the same event loop.
"""

from parley_services.kit.rpc.in_process.channel import InProcessChannel
from parley_services.kit.rpc.in_process.context import InProcessContext
from parley_services.kit.rpc.in_process.server import InProcessServer

__all__ = ["InProcessChannel", "InProcessContext", "InProcessServer"]
