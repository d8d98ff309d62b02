"""
Qdrant's gRPC services over its client's local mode: the wire is real, the engine is not.

Offers what the adapters call and nothing else; any other method is UNIMPLEMENTED. The
messages are those of qdrant-client and are converted by its own code.
"""

import asyncio
from contextlib import asynccontextmanager

import grpc
from qdrant_client import AsyncQdrantClient, models
from qdrant_client import grpc as pb
from qdrant_client.conversions.conversion import GrpcToRest, RestToGrpc


class QdrantServer:
    """What the services share: their points, and how they fail."""

    def __init__(self):
        self.engine = AsyncQdrantClient(":memory:")
        self.away = False
        """Answer every call with UNAVAILABLE."""
        self.answers = asyncio.Event()
        """Cleared, calls wait and are not answered."""
        self.answers.set()
        self.calls = []
        self.port = 0

    async def enter(self, name, context):
        self.calls.append(name)
        if self.away:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "away")
        await self.answers.wait()


class _Collections(pb.CollectionsServicer):
    def __init__(self, server):
        self._server = server

    async def CollectionExists(self, request, context):
        await self._server.enter("CollectionExists", context)
        exists = await self._server.engine.collection_exists(request.collection_name)
        return pb.CollectionExistsResponse(result=pb.CollectionExists(exists=exists))

    async def Create(self, request, context):
        await self._server.enter("Create", context)
        engine = self._server.engine
        if await engine.collection_exists(request.collection_name):
            await context.abort(grpc.StatusCode.ALREADY_EXISTS, "collection exists")
        vectors = {}
        if request.vectors_config.HasField("params"):
            vectors = GrpcToRest.convert_vectors_config(request.vectors_config)
        await engine.create_collection(request.collection_name, vectors_config=vectors)
        return pb.CollectionOperationResponse(result=True)

    async def Delete(self, request, context):
        await self._server.enter("DeleteCollection", context)
        await self._server.engine.delete_collection(request.collection_name)
        return pb.CollectionOperationResponse(result=True)


class _Points(pb.PointsServicer):
    def __init__(self, server):
        self._server = server

    async def CreateFieldIndex(self, request, context):
        await self._server.enter("CreateFieldIndex", context)
        return _done()

    async def Upsert(self, request, context):
        engine = await self._entered("Upsert", request, context)
        update_filter = None
        if request.HasField("update_filter"):
            update_filter = GrpcToRest.convert_filter(request.update_filter)
        await engine.upsert(
            request.collection_name,
            [GrpcToRest.convert_point_struct(each) for each in request.points],
            update_filter=update_filter,
        )
        return _done()

    async def SetPayload(self, request, context):
        engine = await self._entered("SetPayload", request, context)
        await engine.set_payload(
            request.collection_name,
            GrpcToRest.convert_payload(request.payload),
            points=_selected(request.points_selector),
        )
        return _done()

    async def Delete(self, request, context):
        engine = await self._entered("Delete", request, context)
        await engine.delete(request.collection_name, _selected(request.points))
        return _done()

    async def Get(self, request, context):
        engine = await self._entered("Get", request, context)
        ids = [GrpcToRest.convert_point_id(each) for each in request.ids]
        records = await engine.retrieve(request.collection_name, ids)
        return pb.GetResponse(result=[_retrieved(each) for each in records])

    async def Scroll(self, request, context):
        engine = await self._entered("Scroll", request, context)
        is_ordered, is_going_on = request.HasField("order_by"), request.HasField("offset")
        records, following = await engine.scroll(
            request.collection_name,
            scroll_filter=GrpcToRest.convert_filter(request.filter),
            limit=request.limit,
            order_by=GrpcToRest.convert_order_by(request.order_by) if is_ordered else None,
            offset=GrpcToRest.convert_point_id(request.offset) if is_going_on else None,
            with_payload=GrpcToRest.convert_with_payload_selector(request.with_payload),
        )
        return pb.ScrollResponse(
            result=[_retrieved(each) for each in records],
            next_page_offset=None
            if following is None
            else RestToGrpc.convert_extended_point_id(following),
        )

    async def Count(self, request, context):
        engine = await self._entered("Count", request, context)
        counted = await engine.count(
            request.collection_name, count_filter=GrpcToRest.convert_filter(request.filter)
        )
        return pb.CountResponse(result=pb.CountResult(count=counted.count))

    async def Query(self, request, context):
        engine = await self._entered("Query", request, context)
        response = await engine.query_points(
            request.collection_name,
            query=list(request.query.nearest.dense.data),
            query_filter=GrpcToRest.convert_filter(request.filter),
            limit=request.limit,
            score_threshold=request.score_threshold,
        )
        return pb.QueryResponse(
            result=[
                pb.ScoredPoint(
                    id=RestToGrpc.convert_extended_point_id(each.id),
                    score=each.score,
                    payload=RestToGrpc.convert_payload(each.payload or {}),
                )
                for each in response.points
            ]
        )

    async def _entered(self, name, request, context):
        await self._server.enter(name, context)
        if not await self._server.engine.collection_exists(request.collection_name):
            await context.abort(grpc.StatusCode.NOT_FOUND, "no such collection")
        return self._server.engine


def _done():
    return pb.PointsOperationResponse(result=pb.UpdateResult(status=pb.UpdateStatus.Completed))


def _selected(selector):
    if selector.HasField("filter"):
        return models.FilterSelector(filter=GrpcToRest.convert_filter(selector.filter))
    ids = [GrpcToRest.convert_point_id(each) for each in selector.points.ids]
    return models.PointIdsList(points=ids)


def _retrieved(record):
    return pb.RetrievedPoint(
        id=RestToGrpc.convert_extended_point_id(record.id),
        payload=RestToGrpc.convert_payload(record.payload or {}),
    )


@asynccontextmanager
async def qdrant_server():
    """Serve on a free port of loopback, which the server's `port` names."""
    state = QdrantServer()
    server = grpc.aio.server()
    pb.add_CollectionsServicer_to_server(_Collections(state), server)
    pb.add_PointsServicer_to_server(_Points(state), server)
    state.port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield state
    finally:
        state.answers.set()
        await server.stop(0.0)
        await state.engine.close()
