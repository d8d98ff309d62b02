"""Takes the oldest entries out of a relational database."""

from collections.abc import Mapping

from sqlalchemy import Connection, and_, delete, func, select, text

from parley_services.accounting.ledger.turn import TurnKey, TurnState
from parley_services.accounting.reports.archive import Checkpoint, Part
from parley_services.accounting.sql import rows, schema
from parley_services.kit.storage.database import Database, insert

_AT_ONCE = 500
_LOCK_KEY = 0x61726368
"""The advisory lock of archiving on PostgreSQL: "arch" in ASCII."""

_E = schema.entries.c
_C = schema.checkpoints
_B = schema.checkpoint_balances
_P = schema.rollup_positions
_S = schema.streams.c
_ARCHIVED = func.coalesce(_C.c.sequence, 0)

_NEXT = (
    select(_S.tenant_id, _P.c.sequence)
    .select_from(
        schema.streams.outerjoin(_C, _C.c.tenant_id == _S.tenant_id)
        .join(_P, _P.c.tenant_id == _S.tenant_id)
        .join(
            schema.entries,
            and_(_E.tenant_id == _S.tenant_id, _E.sequence > _ARCHIVED),
        )
    )
    .where(_E.sequence == _ARCHIVED + 1, _E.sequence <= _P.c.sequence)
)


class SqlArchive:
    """An `ArchivedStore` on SQLite or PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def next_part(self, before_us: int) -> Part | None:
        def unit(connection: Connection) -> Part | None:
            stream = connection.execute(_NEXT.where(_E.create_time_us < before_us).limit(1)).first()
            if stream is None:
                return None
            tenant_id, rolled = stream
            checkpoint = _checkpoint(connection, tenant_id)
            query = (
                select(schema.entries)
                .where(
                    _E.tenant_id == tenant_id,
                    _E.sequence > checkpoint.sequence,
                    # What is not rolled up yet is still read from the ledger.
                    _E.sequence <= rolled,
                )
                .order_by(_E.sequence)
                .limit(_AT_ONCE)
            )
            entries = []
            for row in connection.execute(query):
                if row.create_time_us >= before_us:
                    break
                entries.append(rows.entry_of(row))
            return Part(checkpoint=checkpoint, entries=entries)

        return await self._database.read(unit)

    async def remove(self, part: Part) -> bool:
        before, after = part.checkpoint, part.next_checkpoint()
        tenant_id = before.tenant_id

        def unit(connection: Connection) -> bool:
            if connection.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK_KEY})
            if _checkpoint(connection, tenant_id) != before:
                return False
            connection.execute(
                delete(schema.entries).where(
                    _E.tenant_id == tenant_id, _E.sequence <= after.sequence
                )
            )
            _remove_turns(connection, part)
            _put_checkpoint(connection, after, part.used())
            return True

        return await self._database.write(unit)

    async def remove_released(self, before_us: int) -> int:
        turns = schema.turns.c
        old = (
            select(turns.turn_key)
            .where(turns.state == TurnState.RELEASED.value, turns.create_time_us < before_us)
            .limit(_AT_ONCE)
        )

        def unit(connection: Connection) -> int:
            found = connection.execute(
                delete(schema.turns).where(turns.turn_key.in_(old.scalar_subquery()))
            )
            return found.rowcount

        return await self._database.write(unit)


def _checkpoint(connection: Connection, tenant_id: str) -> Checkpoint:
    row = connection.execute(select(_C).where(_C.c.tenant_id == tenant_id)).first()
    return Checkpoint(tenant_id=tenant_id) if row is None else Checkpoint(**row._mapping)


def _remove_turns(connection: Connection, part: Part) -> None:
    keys = {
        TurnKey(tenant_id=entry.tenant_id, request_id=entry.request_id).text
        for entry in part.entries
    }
    turns = schema.turns.c
    connection.execute(
        delete(schema.turns).where(
            turns.turn_key.in_(sorted(keys)), turns.state != TurnState.HELD.value
        )
    )


def _put_checkpoint(
    connection: Connection, checkpoint: Checkpoint, used: Mapping[str, int]
) -> None:
    fresh = insert(connection, _C)
    names = [column.name for column in _C.columns]
    kept = {name: fresh.excluded[name] for name in names if name != "tenant_id"}
    connection.execute(
        fresh.on_conflict_do_update(index_elements=["tenant_id"], set_=kept),
        {name: getattr(checkpoint, name) for name in names},
    )
    adding = insert(connection, _B)
    connection.execute(
        adding.on_conflict_do_update(
            index_elements=["tenant_id", "key_text"],
            set_={"used_nano_usd": _B.c.used_nano_usd + adding.excluded.used_nano_usd},
        ),
        [
            {"tenant_id": checkpoint.tenant_id, "key_text": key, "used_nano_usd": amount}
            for key, amount in used.items()
        ],
    )
