"""
Texts of turns and comments of raters, for tenants that opted in. Imports no grpc.

Nothing is kept of a tenant that has not opted in, and nothing that could not be redacted:
while the guardrails are unavailable, turns and ratings are kept without their texts.
"""

from collections.abc import Collection
from typing import Final, Protocol

import structlog

from parley_services.kit.errors import ServiceError
from parley_services.prompt_registry.outcomes.outcome import TurnTexts

log = structlog.get_logger()

EVERY_TENANT: Final = "*"
MAX_TEXT_CHARACTERS: Final = 64_000
"""What is kept of each text."""


class Redactor(Protocol):
    """Takes personal data and secrets out of texts."""

    async def redact(
        self, texts: TurnTexts, *, request_id: str, tenant_id: str, template: str
    ) -> TurnTexts | None:
        """
        Return *texts* without personal data, None if nothing of them may be kept.

        Raises DependencyUnavailable if that cannot be told now.
        """
        ...


class TextPolicy:
    """Whose texts are kept, and in which form."""

    def __init__(self, *, tenants: Collection[str], redactor: Redactor | None) -> None:
        """Keep texts of *tenants*, `*` for all; without a *redactor*, of nobody."""
        self._tenants = frozenset(tenants) if redactor is not None else frozenset()
        self._redactor = redactor

    @property
    def tenants(self) -> Collection[str] | None:
        """The tenants whose texts are kept; None for all."""
        return None if EVERY_TENANT in self._tenants else self._tenants

    def keeps(self, tenant_id: str) -> bool:
        """Whether texts of *tenant_id* are kept."""
        return EVERY_TENANT in self._tenants or tenant_id in self._tenants

    async def of(
        self, texts: TurnTexts, *, request_id: str, tenant_id: str, template: str
    ) -> TurnTexts | None:
        """Return what may be kept of *texts*, redacted; None for nothing. Never raises."""
        if not (texts.input_text or texts.output_text):
            return None
        cut = TurnTexts(
            input_text=texts.input_text[:MAX_TEXT_CHARACTERS],
            output_text=texts.output_text[:MAX_TEXT_CHARACTERS],
        )
        return await self._redacted(
            cut, request_id=request_id, tenant_id=tenant_id, template=template
        )

    async def comment(self, comment: str, *, request_id: str, tenant_id: str) -> str:
        """Return what may be kept of a rater's *comment*, redacted; empty for nothing."""
        if not comment:
            return ""
        redacted = await self._redacted(
            TurnTexts(input_text=comment), request_id=request_id, tenant_id=tenant_id, template=""
        )
        return "" if redacted is None else redacted.input_text

    async def _redacted(
        self, texts: TurnTexts, *, request_id: str, tenant_id: str, template: str
    ) -> TurnTexts | None:
        if self._redactor is None or not self.keeps(tenant_id):
            return None
        try:
            return await self._redactor.redact(
                texts, request_id=request_id, tenant_id=tenant_id, template=template
            )
        except ServiceError as error:
            log.warning("texts_not_kept", reason=error.reason)
            return None
