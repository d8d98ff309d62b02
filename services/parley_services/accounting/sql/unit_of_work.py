"""Runs groups of commands on the rows of a database, and remembers rows between the groups."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import Connection, func, select

from parley_services.accounting.clock_reader import Timestamp
from parley_services.accounting.ledger.entry import StreamHead
from parley_services.accounting.ledger.output_length import OutputLength
from parley_services.accounting.ledger.turn import Turn, TurnKey, TurnState
from parley_services.accounting.ledger.unit_of_work import (
    Command,
    LedgerTransaction,
    LengthKey,
    ReadSet,
)
from parley_services.accounting.limits.allowance_book import resolve
from parley_services.accounting.limits.allowances import Limits
from parley_services.accounting.limits.usage_counters import UsageCounter
from parley_services.accounting.sql import rows, schema
from parley_services.accounting.sql.ledger_clock import DATABASE_US, LedgerClock
from parley_services.accounting.sql.statements import (
    Driver,
    Statement,
    driver_of,
    insert_into,
    select_in,
    upsert_into,
)
from parley_services.accounting.subjects import SubjectKey, SubjectLevel, defaults_of, keys_of
from parley_services.kit.chat.subject import Subject
from parley_services.kit.errors import ServiceError

_ROWS_KEPT = 10_000
"""Rows of each kind that are remembered, some hundreds of bytes each."""

_COUNT_UP = "UPDATE ledger_version SET version = version + 1 WHERE number = 1 RETURNING version"
_NEXT_VERSION = Statement(sqlite=f"{_COUNT_UP}, 0", postgresql=f"{_COUNT_UP}, {DATABASE_US}")
_COUNTERS = select_in(schema.usage_counters, "key_text")
_TURNS = select_in(schema.turns, "turn_key")
_TURNS_OF = select_in(schema.turns, "reservation_id")
_HEADS = select_in(schema.streams, "tenant_id")
_LENGTHS = select_in(schema.output_lengths, "tenant_id")
_LIMITS = Statement.of("SELECT key_text, limits_json FROM allowances WHERE key_text IN (*)")

_PUT_COUNTER = upsert_into(schema.usage_counters)
_PUT_TURN = upsert_into(schema.turns)
_PUT_HEAD = upsert_into(schema.streams)
_PUT_LENGTH = upsert_into(schema.output_lengths)
_ADD_ENTRY = insert_into(schema.entries)


@dataclass(slots=True)
class _Remembered:
    """Rows as they are in the database at one version of the ledger."""

    usage_counters: dict[str, UsageCounter] = field(default_factory=dict)
    limits: dict[str, Limits] = field(default_factory=dict)
    turns: dict[TurnKey, Turn] = field(default_factory=dict)
    """Only those that run."""
    by_reservation: dict[str, TurnKey] = field(default_factory=dict)
    heads: dict[str, StreamHead] = field(default_factory=dict)
    lengths: dict[LengthKey, OutputLength] = field(default_factory=dict)
    tenants_with_lengths: set[str] = field(default_factory=set)
    """Tenants whose lengths are all in `lengths`."""

    def is_large(self) -> bool:
        kinds = (self.usage_counters, self.limits, self.turns, self.heads, self.lengths)
        return any(len(kind) > _ROWS_KEPT for kind in kinds)


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupOutcome:
    """What came of a group of commands."""

    results: list[Any]
    """For each command what it returned, or the ServiceError that it raised."""
    has_alerted: bool
    version: int


class SqlUnitOfWork:
    """
    The rows behind the commands, read where they are not known and written where they changed.

    Every commit counts the version of the ledger up by one, and with it locks them: on
    PostgreSQL the row of the version, on SQLite the file. Who finds the version that it left
    behind knows that nobody wrote since, so what it remembers is what is stored. Whoever
    changes a remembered row in another way counts the version up, too.
    """

    def __init__(self, *, defaults: Mapping[SubjectLevel, Limits], clock: LedgerClock) -> None:
        self._defaults = defaults
        self._clock = clock
        self._remembered = _Remembered()
        self._version: int | None = None

    def run(self, connection: Connection, commands: Sequence[Command[Any]]) -> GroupOutcome:
        """
        Run *commands* in the transaction of *connection*.

        What is remembered is trusted again only after `committed`: the transaction may yet
        fail, and the function may be run again.
        """
        driver = driver_of(connection)
        version, database_us = driver.one(_NEXT_VERSION)
        if self._version is None or version != self._version + 1 or self._remembered.is_large():
            self._remembered = _Remembered()
        self._version = None
        timestamp = self._clock.timestamp(database_us)
        transaction = self._open(driver, [command.read_set for command in commands], timestamp)
        results: list[Any] = []
        for command in commands:
            try:
                results.append(command.run(transaction))
            except ServiceError as refusal:
                results.append(refusal)
        _write(driver, connection, transaction)
        self._remember(transaction)
        return GroupOutcome(
            results=results, has_alerted=bool(transaction.new_alerts), version=version
        )

    def committed(self, outcome: GroupOutcome) -> None:
        """Note that the transaction of *outcome* is committed."""
        self._version = outcome.version

    def _open(
        self, driver: Driver, read_sets: Sequence[ReadSet], timestamp: Timestamp
    ) -> LedgerTransaction:
        remembered = self._remembered
        turns = self._turns(driver, read_sets)
        subjects = {turn.subject for turn in turns.values()}
        subjects.update(each.subject for each in read_sets if each.subject is not None)
        self._read_subjects(driver, subjects)
        self._read_lengths(driver, read_sets)
        return LedgerTransaction(
            timestamp=timestamp,
            usage_counters=remembered.usage_counters,
            limits=remembered.limits,
            defaults=self._defaults,
            turns=turns,
            heads=remembered.heads,
            lengths=remembered.lengths,
        )

    def _turns(self, driver: Driver, read_sets: Sequence[ReadSet]) -> dict[TurnKey, Turn]:
        remembered = self._remembered
        found: dict[TurnKey, Turn] = {}
        unknown: list[str] = []
        unknown_reservations: list[str] = []
        for need in read_sets:
            key = need.turn or remembered.by_reservation.get(need.reservation_id)
            if key is None:
                if need.reservation_id:
                    unknown_reservations.append(need.reservation_id)
            elif key in remembered.turns:
                found[key] = remembered.turns[key]
            else:
                unknown.append(key.text)
        read: list[Any] = []
        if unknown:
            read += driver.rows_in(_TURNS, unknown)
        if unknown_reservations:
            read += driver.rows_in(_TURNS_OF, unknown_reservations)
        for row in read:
            turn = rows.turn_of(row)
            found[turn.key] = turn
        return found

    def _read_subjects(self, driver: Driver, subjects: Iterable[Subject]) -> None:
        remembered = self._remembered
        keys = {key.text: key for subject in subjects for key in keys_of(subject)}
        unknown = [text for text in keys if text not in remembered.usage_counters]
        if unknown:
            for row in driver.rows_in(_COUNTERS, unknown):
                counter = rows.usage_counter_of(row)
                remembered.usage_counters[counter.key_text] = counter
        unlimited = [key for text, key in keys.items() if text not in remembered.limits]
        if unlimited:
            self._read_limits(driver, unlimited)
        tenants = {subject.tenant_id for subject in subjects} - remembered.heads.keys()
        if tenants:
            for tenant_id, sequence, row_hash in driver.rows_in(_HEADS, list(tenants)):
                remembered.heads[tenant_id] = StreamHead(
                    tenant_id=tenant_id, sequence=sequence, row_hash=row_hash
                )

    def _read_limits(self, driver: Driver, keys: Sequence[SubjectKey]) -> None:
        wanted = {each.text for key in keys for each in (key, *defaults_of(key))}
        own = {
            text: rows.limits_of(limits_json)
            for text, limits_json in driver.rows_in(_LIMITS, list(wanted))
        }
        for key in keys:
            self._remembered.limits[key.text] = resolve(
                key, lambda each: own.get(each.text), self._defaults
            )

    def _read_lengths(self, driver: Driver, read_sets: Sequence[ReadSet]) -> None:
        remembered = self._remembered
        tenants = {need.length[0] for need in read_sets if need.length is not None}
        tenants -= remembered.tenants_with_lengths
        if not tenants:
            return
        for tenant_id, template, token_count, sample_count in driver.rows_in(
            _LENGTHS, list(tenants)
        ):
            remembered.lengths[tenant_id, template] = OutputLength(
                token_count=token_count, sample_count=sample_count
            )
        remembered.tenants_with_lengths |= tenants

    def _remember(self, transaction: LedgerTransaction) -> None:
        remembered = self._remembered
        for key, turn in transaction.changed_turns.items():
            if turn.state is TurnState.HELD:
                remembered.turns[key] = turn
                remembered.by_reservation[turn.reservation_id] = key
            elif remembered.turns.pop(key, None) is not None:
                remembered.by_reservation.pop(turn.reservation_id, None)


def _write(driver: Driver, connection: Connection, transaction: LedgerTransaction) -> None:
    if transaction.changed_counters:
        driver.write(
            _PUT_COUNTER,
            [rows.usage_counter_values(each) for each in transaction.changed_counters.values()],
        )
    if transaction.changed_turns:
        driver.write(
            _PUT_TURN, [rows.turn_values(each) for each in transaction.changed_turns.values()]
        )
    if transaction.changed_lengths:
        driver.write(
            _PUT_LENGTH,
            [
                (tenant_id, template, length.token_count, length.sample_count)
                for (tenant_id, template), length in transaction.changed_lengths.items()
            ],
        )
    if transaction.changed_heads:
        driver.write(
            _PUT_HEAD,
            [
                (each.tenant_id, each.sequence, each.row_hash)
                for each in transaction.changed_heads.values()
            ],
        )
        driver.write(_ADD_ENTRY, [rows.entry_values(each) for each in transaction.new_entries])
    if transaction.new_alerts:
        last = connection.execute(select(func.max(schema.alerts.c.alert_number))).scalar() or 0
        numbered = (
            replace(alert, alert_number=number)
            for number, alert in enumerate(transaction.new_alerts, last + 1)
        )
        connection.execute(schema.alerts.insert(), [rows.alert_values(each) for each in numbered])
