"""The gRPC face of the prompt registry: converts messages, decides nothing."""

import hmac
from collections.abc import Sequence
from itertools import starmap
from typing import Any, TypeVar

import grpc
from parley.prompt_registry.v1 import prompt_registry_service_pb2 as pb
from parley.prompt_registry.v1 import prompt_registry_service_pb2_grpc as pb_grpc

from parley_services.kit.chat import from_proto as chat
from parley_services.kit.errors import InvalidArgument
from parley_services.prompt_registry import from_proto, to_proto
from parley_services.prompt_registry.outcomes.evaluation_log import EvaluationLog
from parley_services.prompt_registry.outcomes.outcome import Rating, TurnTexts, summaries
from parley_services.prompt_registry.outcomes.recorder import OutcomeRecorder
from parley_services.prompt_registry.outcomes.turn_texts import TextPolicy
from parley_services.prompt_registry.registry import Registry
from parley_services.prompt_registry.templates.catalogue import Catalogue

T = TypeVar("T")
Context = grpc.aio.ServicerContext[Any, Any]

ADMIN_TOKEN_KEY = "x-parley-admin-token"
"""Metadata by which a caller shows that it may move protected labels."""


class PromptRegistryServicer(pb_grpc.PromptRegistryServiceServicer):
    """`parley.prompt_registry.v1.PromptRegistryService` over the domain."""

    def __init__(
        self,
        *,
        registry: Registry,
        catalogue: Catalogue,
        recorder: OutcomeRecorder,
        evaluation_log: EvaluationLog,
        text_policy: TextPolicy,
        admin_token: str,
    ) -> None:
        self._registry = registry
        self._catalogue = catalogue
        self._recorder = recorder
        self._evaluation_log = evaluation_log
        self._text_policy = text_policy
        self._admin_token = admin_token.encode()

    async def Render(self, request: pb.RenderRequest, context: Context) -> pb.RenderResponse:
        prompt = await self._registry.render(
            template=request.template,
            selector=from_proto.selector(request),
            keys=from_proto.assignment_keys(request.keys),
            variables=request.variables,
        )
        return to_proto.prompt(
            prompt, retains_texts=self._text_policy.keeps(request.keys.tenant_id)
        )

    async def CreateTemplateVersion(
        self, request: pb.CreateTemplateVersionRequest, context: Context
    ) -> pb.CreateTemplateVersionResponse:
        version = await self._registry.create_version(
            request.template,
            from_proto.content(request.content),
            author=request.author,
            note=request.note,
            base_version=request.base_version,
        )
        return pb.CreateTemplateVersionResponse(version=to_proto.version(version))

    async def GetTemplateVersion(
        self, request: pb.GetTemplateVersionRequest, context: Context
    ) -> pb.GetTemplateVersionResponse:
        version = self._registry.version(request.template, from_proto.version_selector(request))
        return pb.GetTemplateVersionResponse(version=to_proto.version(version))

    async def ListTemplates(
        self, request: pb.ListTemplatesRequest, context: Context
    ) -> pb.ListTemplatesResponse:
        items, token = _slice(self._catalogue.templates(), request)
        return pb.ListTemplatesResponse(
            templates=map(to_proto.template, items), next_page_token=token
        )

    async def ListTemplateVersions(
        self, request: pb.ListTemplateVersionsRequest, context: Context
    ) -> pb.ListTemplateVersionsResponse:
        versions = self._catalogue.template(request.template).versions
        items, token = _slice(versions[::-1], request)
        return pb.ListTemplateVersionsResponse(
            versions=map(to_proto.version, items), next_page_token=token
        )

    async def SetLabel(self, request: pb.SetLabelRequest, context: Context) -> pb.SetLabelResponse:
        label = await self._registry.set_label(
            request.template,
            request.label,
            request.version,
            etag=request.etag,
            author=request.author,
            note=request.note,
            is_admin=self._is_admin(context),
        )
        return pb.SetLabelResponse(label=to_proto.label(label))

    async def DeleteLabel(
        self, request: pb.DeleteLabelRequest, context: Context
    ) -> pb.DeleteLabelResponse:
        await self._registry.delete_label(
            request.template,
            request.label,
            author=request.author,
            is_admin=self._is_admin(context),
        )
        return pb.DeleteLabelResponse()

    async def ListLabelMoves(
        self, request: pb.ListLabelMovesRequest, context: Context
    ) -> pb.ListLabelMovesResponse:
        page = await self._registry.label_moves(
            request.template, position=_position(request), limit=_limit(request)
        )
        return pb.ListLabelMovesResponse(
            moves=map(to_proto.label_move, page.items), next_page_token=_token(page.next_position)
        )

    async def CreateExperiment(
        self, request: pb.CreateExperimentRequest, context: Context
    ) -> pb.CreateExperimentResponse:
        wanted = from_proto.experiment(request.experiment)
        made = await self._registry.create_experiment(wanted)
        return pb.CreateExperimentResponse(experiment=to_proto.experiment(made))

    async def UpdateExperiment(
        self, request: pb.UpdateExperimentRequest, context: Context
    ) -> pb.UpdateExperimentResponse:
        wanted = from_proto.experiment(request.experiment)
        updated = await self._registry.update_experiment(wanted)
        return pb.UpdateExperimentResponse(experiment=to_proto.experiment(updated))

    async def GetExperiment(
        self, request: pb.GetExperimentRequest, context: Context
    ) -> pb.GetExperimentResponse:
        experiment = self._catalogue.experiment(request.experiment_id)
        tallies = await self._recorder.tallies(experiment.template)
        return pb.GetExperimentResponse(
            experiment=to_proto.experiment(experiment),
            summaries=[
                to_proto.outcome_summary(key, tally)
                for key, tally in summaries(tallies)
                if key.experiment_id == experiment.experiment_id
            ],
        )

    async def ListExperiments(
        self, request: pb.ListExperimentsRequest, context: Context
    ) -> pb.ListExperimentsResponse:
        found = [
            each
            for each in self._catalogue.experiments()
            if request.template in ("", each.template)
        ]
        items, token = _slice(found, request)
        return pb.ListExperimentsResponse(
            experiments=map(to_proto.experiment, items), next_page_token=token
        )

    async def AssignArm(
        self, request: pb.AssignArmRequest, context: Context
    ) -> pb.AssignArmResponse:
        assignment = await self._registry.assign(
            request.template, from_proto.assignment_keys(request.keys)
        )
        return pb.AssignArmResponse(
            version=assignment.version,
            experiment_id=assignment.experiment_id,
            arm=assignment.arm,
        )

    async def ReportOutcome(
        self, request: pb.ReportOutcomeRequest, context: Context
    ) -> pb.ReportOutcomeResponse:
        await self._recorder.report(
            from_proto.outcome(request.outcome),
            from_proto.turn_texts(request.texts) if request.HasField("texts") else None,
        )
        return pb.ReportOutcomeResponse()

    async def ReportShadow(
        self, request: pb.ReportShadowRequest, context: Context
    ) -> pb.ReportShadowResponse:
        comparison = await self._recorder.report_shadow(
            from_proto.outcome(request.outcome),
            texts=TurnTexts(input_text=request.input_text, output_text=request.output_text),
            answer=(
                from_proto.given_answer(request.answer) if request.HasField("answer") else None
            ),
            response_format=(
                chat.response_format(request.response_format)
                if request.HasField("response_format")
                else None
            ),
        )
        if comparison is None:
            return pb.ReportShadowResponse()
        return pb.ReportShadowResponse(comparison=to_proto.comparison(comparison))

    async def RecordRating(
        self, request: pb.RecordRatingRequest, context: Context
    ) -> pb.RecordRatingResponse:
        await self._recorder.rate(
            Rating(
                request_id=request.request_id,
                tenant_id=request.tenant_id,
                stars=request.stars,
                comment=request.comment,
            )
        )
        return pb.RecordRatingResponse()

    async def GetOutcomes(
        self, request: pb.GetOutcomesRequest, context: Context
    ) -> pb.GetOutcomesResponse:
        found = [
            (key, tally)
            for key, tally in summaries(await self._recorder.tallies(request.template))
            if request.experiment_id in ("", key.experiment_id)
        ]
        items, token = _slice(found, request)
        return pb.GetOutcomesResponse(
            summaries=starmap(to_proto.outcome_summary, items), next_page_token=token
        )

    async def ListRollbacks(
        self, request: pb.ListRollbacksRequest, context: Context
    ) -> pb.ListRollbacksResponse:
        page = await self._registry.rollbacks(
            request.template, position=_position(request), limit=_limit(request)
        )
        return pb.ListRollbacksResponse(
            rollbacks=map(to_proto.rollback, page.items),
            next_page_token=_token(page.next_position),
        )

    async def WatchTemplates(  # type: ignore[override]
        self, request: pb.WatchTemplatesRequest, context: Context
    ) -> None:
        # Written rather than yielded, so that a client's cancel arrives at the write.
        async with self._catalogue.watching(request.after_revision) as updates:
            async for update in updates:
                await context.write(to_proto.update(update))

    async def ListEvaluations(
        self, request: pb.ListEvaluationsRequest, context: Context
    ) -> pb.ListEvaluationsResponse:
        page = await self._evaluation_log.page(
            from_proto.evaluation_filter(request),
            position=_position(request),
            limit=_limit(request, default=100),
        )
        return pb.ListEvaluationsResponse(
            evaluations=map(to_proto.evaluation, page.items),
            next_page_token=_token(page.next_position),
        )

    def _is_admin(self, context: Context) -> bool:
        if not self._admin_token:
            return True
        given = [
            str(value)
            for key, value in context.invocation_metadata() or ()
            if key == ADMIN_TOKEN_KEY
        ]
        return bool(given) and hmac.compare_digest(given[0].encode(), self._admin_token)


def _limit(request: Any, *, default: int = 50) -> int:
    size: int = request.page_size
    return size or default


def _position(request: Any) -> int:
    token: str = request.page_token
    if not token:
        return 0
    if not (token.isascii() and token.isdigit() and len(token) < 19):
        raise InvalidArgument.field("page_token", "Send the token of the page before.")
    return int(token)


def _token(position: int | None) -> str:
    return "" if position is None else str(position)


def _slice(items: Sequence[T], request: Any) -> tuple[Sequence[T], str]:
    start = _position(request)
    end = start + _limit(request)
    return items[start:end], _token(end if end < len(items) else None)
