"""
Wraps handlers, and runs an async context manager around every RPC of ours.

A server interceptor sees the handler, not the call: a `try` around `continuation`
catches nothing that the handler raises. The wrapping that gets this right is written
once, here, for all four kinds of method.
"""

from abc import abstractmethod
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, aclosing
from typing import Any, TypeAlias

import grpc
from google.protobuf.message import DecodeError

OURS = "/parley."
"""How the full names of our methods begin. Health and reflection are left alone."""

Context: TypeAlias = grpc.aio.ServicerContext[Any, Any]
AroundCall: TypeAlias = Callable[[str, Context], AbstractAsyncContextManager[Any]]
Behaviour: TypeAlias = Callable[[Any, Context], Any]


def is_ours(method: str) -> bool:
    """Whether *method*, as `/package.Service/Method`, is one of ours."""
    return method.startswith(OURS)


def behaviour_of(handler: Any) -> Behaviour:
    """Return the function that *handler* calls."""
    behaviour: Behaviour = (
        handler.unary_unary or handler.unary_stream or handler.stream_unary or handler.stream_stream
    )
    return behaviour


def with_behaviour(handler: Any, behaviour: Behaviour, *, deserialize: Any = None) -> Any:
    """Return *handler* of the same kind, but with another *behaviour*."""
    match handler.request_streaming, handler.response_streaming:
        case False, False:
            make = grpc.unary_unary_rpc_method_handler
        case False, True:
            make = grpc.unary_stream_rpc_method_handler
        case True, False:
            make = grpc.stream_unary_rpc_method_handler
        case _:
            make = grpc.stream_stream_rpc_method_handler
    return make(behaviour, deserialize or handler.request_deserializer, handler.response_serializer)


class HandlerWrapper(grpc.aio.ServerInterceptor):
    """
    An interceptor that depends on the method alone, so that each handler is wrapped once.

    The in-process server asks such interceptors once for each method and no more.
    """

    def __init__(self) -> None:
        self._wrapped: dict[str, tuple[Any, Any]] = {}

    @abstractmethod
    def wrap(self, method: str, handler: Any) -> Any:
        """Return what serves *method* in place of *handler*, or *handler* to leave it alone."""

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        handler = await continuation(handler_call_details)
        if handler is None:
            return None
        method: Any = handler_call_details.method
        known = self._wrapped.get(method)
        if known is None or known[0] is not handler:
            known = (handler, self.wrap(method, handler))
            self._wrapped[method] = known
        return known[1]


class Around(HandlerWrapper):
    """
    Enters *around* with the method's full name and its context, for each RPC.

    All of a handler runs inside: what it raises, at any message, reaches `__aexit__`,
    and so does the `DecodeError` of a request that is not a valid message.

    A streaming handler may be an async generator or a coroutine that calls
    `context.write`. Either way the wrapper is such a coroutine, which costs nothing per
    message and lets a client's cancel arrive as CancelledError at the write. A generator
    is closed before `__aexit__` runs, in the same task.

    Methods for which *applies* is false keep their handler as it is.
    """

    def __init__(self, around: AroundCall, *, applies: Callable[[str], bool] = is_ours) -> None:
        super().__init__()
        self._around = around
        self._applies = applies

    def wrap(self, method: str, handler: Any) -> Any:
        if not self._applies(method):
            return handler
        around = self._around
        deserialize = handler.request_deserializer
        behaviour = behaviour_of(handler)
        if not handler.request_streaming and not isinstance(deserialize, _Decoder):
            deserialize = _Decoder(deserialize)
            behaviour = _refusing_undecodable(behaviour)

        async def respond_once(request: Any, context: Context) -> Any:
            async with around(method, context):
                return await behaviour(request, context)

        async def respond_in_stream(request: Any, context: Context) -> None:
            async with around(method, context):
                responses = behaviour(request, context)
                if not hasattr(responses, "__aiter__"):
                    await responses
                    return
                async with aclosing(responses):
                    async for response in responses:
                        await context.write(response)

        wrapper = respond_in_stream if handler.response_streaming else respond_once
        return with_behaviour(handler, wrapper, deserialize=deserialize)


class _Undecodable:
    """Stands for a request whose bytes are not a message."""

    __slots__ = ("error",)

    def __init__(self, error: DecodeError) -> None:
        self.error = error


class _Decoder:
    """
    A deserializer that returns an `_Undecodable` where the real one raises.

    grpc deserializes a unary request before it calls the handler, so that what is raised
    there would pass by every wrapper.
    """

    __slots__ = ("_deserialize",)

    def __init__(self, deserialize: Callable[[bytes], Any] | None) -> None:
        self._deserialize = deserialize

    def __call__(self, message: bytes) -> Any:
        if self._deserialize is None:
            return message
        try:
            return self._deserialize(message)
        except DecodeError as error:
            return _Undecodable(error)


def _refusing_undecodable(behaviour: Behaviour) -> Behaviour:
    def refuse_or_behave(request: Any, context: Context) -> Any:
        if type(request) is _Undecodable:
            raise request.error
        return behaviour(request, context)

    return refuse_or_behave
