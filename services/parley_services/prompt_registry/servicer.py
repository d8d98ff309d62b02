"""The gRPC face of the prompt registry: converts messages, decides nothing."""

import hmac
from collections.abc import Sequence
from typing import Any, TypeVar

import grpc
from parley.prompt_registry.v1 import prompt_registry_service_pb2 as pb
from parley.prompt_registry.v1 import prompt_registry_service_pb2_grpc as pb_grpc

from parley_services.kit.errors import InvalidArgument
from parley_services.prompt_registry import messages, outcome_messages
from parley_services.prompt_registry.enum_messages import moment
from parley_services.prompt_registry.experiment_messages import experiment_from, experiment_to
from parley_services.prompt_registry.outcomes.evaluation_log import EvaluationLog
from parley_services.prompt_registry.outcomes.outcome import Rating, TurnTexts, summaries
from parley_services.prompt_registry.outcomes.reporting import Reports
from parley_services.prompt_registry.outcomes.turn_texts import TextPolicy
from parley_services.prompt_registry.registry import Registry
from parley_services.prompt_registry.stores.store import EvaluationFilter
from parley_services.prompt_registry.templates.catalogue import Catalogue
from parley_services.prompt_registry.templates.snapshot import ByLabel, ByVersion

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
        reports: Reports,
        evaluation_log: EvaluationLog,
        text_policy: TextPolicy,
        admin_token: str,
    ) -> None:
        self._registry = registry
        self._catalogue = catalogue
        self._reports = reports
        self._evaluation_log = evaluation_log
        self._text_policy = text_policy
        self._admin_token = admin_token.encode()

    async def Render(self, request: pb.RenderRequest, context: Context) -> pb.RenderResponse:
        prompt = await self._registry.render(
            template=request.template,
            selector=messages.selector_from(request),
            keys=messages.keys_from(request.keys),
            variables=request.variables,
        )
        return messages.prompt_to(
            prompt, retains_texts=self._text_policy.keeps(request.keys.tenant_id)
        )

    async def CreateTemplateVersion(
        self, request: pb.CreateTemplateVersionRequest, context: Context
    ) -> pb.CreateTemplateVersionResponse:
        version = await self._registry.create_version(
            request.template,
            messages.content_from(request.content),
            author=request.author,
            note=request.note,
            base_version=request.base_version,
        )
        return pb.CreateTemplateVersionResponse(version=messages.version_to(version))

    async def GetTemplateVersion(
        self, request: pb.GetTemplateVersionRequest, context: Context
    ) -> pb.GetTemplateVersionResponse:
        selector: ByLabel | ByVersion | None = None
        match request.WhichOneof("selector"):
            case "label":
                selector = ByLabel(label=request.label)
            case "version":
                selector = ByVersion(version=request.version)
        version = self._registry.version(request.template, selector)
        return pb.GetTemplateVersionResponse(version=messages.version_to(version))

    async def ListTemplates(
        self, request: pb.ListTemplatesRequest, context: Context
    ) -> pb.ListTemplatesResponse:
        items, token = _slice(self._catalogue.templates(), request)
        return pb.ListTemplatesResponse(
            templates=map(messages.template_to, items), next_page_token=token
        )

    async def ListTemplateVersions(
        self, request: pb.ListTemplateVersionsRequest, context: Context
    ) -> pb.ListTemplateVersionsResponse:
        versions = self._catalogue.template(request.template).versions
        items, token = _slice(versions[::-1], request)
        return pb.ListTemplateVersionsResponse(
            versions=map(messages.version_to, items), next_page_token=token
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
        return pb.SetLabelResponse(label=messages.label_to(label))

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
            moves=map(messages.move_to, page.items), next_page_token=_token(page.next_position)
        )

    async def CreateExperiment(
        self, request: pb.CreateExperimentRequest, context: Context
    ) -> pb.CreateExperimentResponse:
        wanted = experiment_from(request.experiment)
        made = await self._registry.create_experiment(wanted)
        return pb.CreateExperimentResponse(experiment=experiment_to(made))

    async def UpdateExperiment(
        self, request: pb.UpdateExperimentRequest, context: Context
    ) -> pb.UpdateExperimentResponse:
        wanted = experiment_from(request.experiment)
        updated = await self._registry.update_experiment(wanted)
        return pb.UpdateExperimentResponse(experiment=experiment_to(updated))

    async def GetExperiment(
        self, request: pb.GetExperimentRequest, context: Context
    ) -> pb.GetExperimentResponse:
        experiment = self._catalogue.experiment(request.experiment_id)
        tallies = await self._reports.tallies(experiment.template)
        return pb.GetExperimentResponse(
            experiment=experiment_to(experiment),
            summaries=[
                outcome_messages.summary_to(key, tally)
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
            experiments=map(experiment_to, items), next_page_token=token
        )

    async def AssignArm(
        self, request: pb.AssignArmRequest, context: Context
    ) -> pb.AssignArmResponse:
        assignment = await self._registry.assign(request.template, messages.keys_from(request.keys))
        return pb.AssignArmResponse(
            version=assignment.version,
            experiment_id=assignment.experiment_id,
            arm=assignment.arm,
        )

    async def ReportOutcome(
        self, request: pb.ReportOutcomeRequest, context: Context
    ) -> pb.ReportOutcomeResponse:
        await self._reports.report(
            outcome_messages.outcome_from(request.outcome),
            outcome_messages.texts_from(request.texts) if request.HasField("texts") else None,
        )
        return pb.ReportOutcomeResponse()

    async def ReportShadow(
        self, request: pb.ReportShadowRequest, context: Context
    ) -> pb.ReportShadowResponse:
        comparison = await self._reports.report_shadow(
            outcome_messages.outcome_from(request.outcome),
            texts=TurnTexts(input_text=request.input_text, output_text=request.output_text),
            answer=(
                outcome_messages.answer_from(request.answer) if request.HasField("answer") else None
            ),
            response_format=(
                messages.response_format_from(request.response_format)
                if request.HasField("response_format")
                else None
            ),
        )
        if comparison is None:
            return pb.ReportShadowResponse()
        return pb.ReportShadowResponse(comparison=outcome_messages.comparison_to(comparison))

    async def RecordRating(
        self, request: pb.RecordRatingRequest, context: Context
    ) -> pb.RecordRatingResponse:
        await self._reports.rate(
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
        found = summaries(await self._reports.tallies(request.template))
        return pb.GetOutcomesResponse(
            summaries=[
                outcome_messages.summary_to(key, tally)
                for key, tally in found
                if request.experiment_id in ("", key.experiment_id)
            ]
        )

    async def ListRollbacks(
        self, request: pb.ListRollbacksRequest, context: Context
    ) -> pb.ListRollbacksResponse:
        page = await self._registry.rollbacks(
            request.template, position=_position(request), limit=_limit(request)
        )
        return pb.ListRollbacksResponse(
            rollbacks=map(messages.rollback_to, page.items),
            next_page_token=_token(page.next_position),
        )

    async def WatchTemplates(  # type: ignore[override]
        self, request: pb.WatchTemplatesRequest, context: Context
    ) -> None:
        # Written rather than yielded, so that a client's cancel arrives at the write.
        async with self._catalogue.watching(request.after_revision) as updates:
            async for update in updates:
                await context.write(messages.update_to(update))

    async def ListEvaluations(
        self, request: pb.ListEvaluationsRequest, context: Context
    ) -> pb.ListEvaluationsResponse:
        chosen = EvaluationFilter(
            template=request.template,
            tenant_id=request.tenant_id,
            start_time=moment(request.start_time) if request.HasField("start_time") else None,
            end_time=moment(request.end_time) if request.HasField("end_time") else None,
            include_texts=request.include_texts,
        )
        page = await self._evaluation_log.page(
            chosen,
            position=_position(request),
            limit=_limit(request, default=100, most=1_000),
        )
        return pb.ListEvaluationsResponse(
            evaluations=map(outcome_messages.evaluation_to, page.items),
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


def _limit(request: Any, *, default: int = 50, most: int = 100) -> int:
    size: int = request.page_size
    if not 0 <= size <= most:
        raise InvalidArgument.field("page_size", f"Use 1 to {most}, or 0 for {default}.")
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
