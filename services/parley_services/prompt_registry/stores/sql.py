"""Templates and outcomes in SQLite or PostgreSQL."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from parley_services.kit.storage.database import Database
from parley_services.prompt_registry.experiments.rollback_records import Rollback
from parley_services.prompt_registry.outcomes.outcome import Evaluation, Rating, Tally, TallyKey
from parley_services.prompt_registry.stores import sql_evaluations, sql_outcomes, sql_templates
from parley_services.prompt_registry.stores.store import (
    Changes,
    CountedOutcome,
    EvaluationFilter,
    Page,
    TemplateChange,
)
from parley_services.prompt_registry.templates.template import LabelMove, Template


class SqlStore:
    """A `RegistryStore` on a database that has the tables of `migrations`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def revision(self) -> int:
        return await self._database.read(sql_templates.read_revision)

    async def changes(self, after_revision: int) -> Changes:
        return await self._database.read(
            lambda connection: sql_templates.read_changes(connection, after_revision)
        )

    async def save(self, before: Template | None, change: TemplateChange) -> int:
        return await self._database.write(
            lambda connection: sql_templates.write_template(connection, before, change)
        )

    async def label_moves(self, template: str, *, position: int, limit: int) -> Page[LabelMove]:
        return await self._database.read(
            lambda connection: sql_templates.read_label_moves(connection, template, position, limit)
        )

    async def rollbacks(self, template: str, *, position: int, limit: int) -> Page[Rollback]:
        return await self._database.read(
            lambda connection: sql_templates.read_rollbacks(connection, template, position, limit)
        )

    async def record(self, outcomes: Sequence[CountedOutcome]) -> int:
        return await self._database.write(
            lambda connection: sql_outcomes.write_outcomes(connection, outcomes)
        )

    async def rate(self, rating: Rating) -> TallyKey | None:
        return await self._database.write(
            lambda connection: sql_outcomes.write_rating(connection, rating)
        )

    async def tallies(self, template: str) -> Mapping[TallyKey, Tally]:
        return await self._database.read(
            lambda connection: sql_outcomes.read_tallies(connection, template)
        )

    async def evaluations(
        self, chosen: EvaluationFilter, *, position: int, limit: int
    ) -> Page[Evaluation]:
        return await self._database.read(
            lambda connection: sql_evaluations.read_evaluations(connection, chosen, position, limit)
        )

    async def forget_evaluations(self, before: datetime, *, limit: int) -> int:
        return await self._database.write(
            lambda connection: sql_evaluations.delete_evaluations(connection, before, limit)
        )

    async def forget_texts(
        self, before: datetime, *, tenants: Collection[str] | None, limit: int
    ) -> int:
        return await self._database.write(
            lambda connection: sql_evaluations.delete_texts(connection, before, tenants, limit)
        )

    async def keep_assignment(self, experiment_id: str, unit: str, arm: str) -> str:
        return await self._database.write(
            lambda connection: sql_templates.write_assignment(connection, experiment_id, unit, arm)
        )
