"""Admission in a table, for a ledger that several processes share."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Connection, text

from parley_services.accounting.ledger.turn import TurnKey
from parley_services.accounting.limits.admission import (
    AdmissionCounter,
    AdmissionLevel,
    AdmissionRequest,
    admit,
    is_limited,
    runs_already,
)
from parley_services.accounting.limits.allowance_book import resolve
from parley_services.accounting.limits.allowances import Limits
from parley_services.accounting.limits.rate_limiter import Passed, RateLimiter
from parley_services.accounting.sql import rows, schema
from parley_services.accounting.sql.group_commit import GroupCommit
from parley_services.accounting.sql.ledger_clock import LedgerClock, read
from parley_services.accounting.sql.statements import (
    Driver,
    Statement,
    driver_of,
    select_in,
    upsert_into,
)
from parley_services.accounting.subjects import SubjectKey, SubjectLevel, defaults_of, keys_of
from parley_services.kit.errors import ServiceError
from parley_services.kit.storage.database import Database

_LOCK_KEY = 0x61646D69
"""The advisory lock of admission on PostgreSQL: "admi" in ASCII."""

_ADMISSIONS = select_in(schema.admissions, "turn_key")
_COUNTERS = select_in(schema.admission_counters, "key_text")
_LIMITS = Statement.of("SELECT key_text, limits_json FROM allowances WHERE key_text IN (*)")
_EXPIRE = text(
    "DELETE FROM admissions WHERE deadline_ns <= :now_ns RETURNING turn_key, key_texts_json"
)
_REMOVE_IDLE = text(
    "DELETE FROM admission_counters WHERE running_turn_count = 0 AND change_ns < :before_ns"
)
_IDLE_NS = 2 * 3600 * 10**9
"""Longer than any window."""

_PUT_ADMISSION = upsert_into(schema.admissions)
_PUT_COUNTER = upsert_into(schema.admission_counters)
_DROP_ADMISSION = Statement.of("DELETE FROM admissions WHERE turn_key = ?")


@dataclass(frozen=True, slots=True, kw_only=True)
class _End:
    turn_key: TurnKey
    reservation_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Admitted:
    reservation_id: str
    deadline_ns: int
    key_texts: Sequence[str]


@dataclass(slots=True, kw_only=True)
class _Rows:
    """The rows that a group needs, and which of them it changed."""

    admitted: dict[str, _Admitted]
    counters: dict[str, AdmissionCounter]
    limits: dict[str, Limits]
    changed_turns: set[str] = field(default_factory=set)
    changed_counters: set[str] = field(default_factory=set)


class SqlAdmissions:
    """
    `Admissions` that all processes on one database share.

    Admissions and ends that come together share a transaction, and an advisory lock lets one
    group at a time decide. The commit does not wait for the disk.
    """

    def __init__(
        self,
        database: Database,
        *,
        defaults: Mapping[SubjectLevel, Limits],
        limiter: RateLimiter,
        clock: LedgerClock,
    ) -> None:
        self._database = database
        self._defaults = defaults
        self._limiter = limiter
        self._clock = clock
        self._commits = GroupCommit(self._commit)

    async def admit(self, request: AdmissionRequest) -> datetime:
        deadline_ns: int = await self._commits.commit(request)
        return self._clock.wall_time(deadline_ns)

    async def end(self, key: TurnKey, reservation_id: str = "") -> None:
        await self._commits.commit(_End(turn_key=key, reservation_id=reservation_id))

    async def remove_idle(self) -> None:
        """Remove the counters that count nothing any more."""

        def unit(connection: Connection) -> None:
            present = read(self._clock, driver_of(connection)).monotonic_ns
            connection.execute(_REMOVE_IDLE, {"before_ns": present - _IDLE_NS})

        await self._database.write(unit)

    async def aclose(self) -> None:
        """Commit what waits."""
        await self._commits.aclose()

    async def _commit(self, group: Sequence[AdmissionRequest | _End]) -> Sequence[Any]:
        return await self._database.write(lambda connection: self._run(connection, group))

    def _run(self, connection: Connection, group: Sequence[AdmissionRequest | _End]) -> list[Any]:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SET LOCAL synchronous_commit TO off"))
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK_KEY})
        driver = driver_of(connection)
        now_ns = read(self._clock, driver).monotonic_ns
        expired = connection.execute(_EXPIRE, {"now_ns": now_ns}).all()
        over = Counter(key for _, texts in expired for key in orjson.loads(texts))
        found = self._read(driver, group, over)
        for key, count in over.items():
            found.counters[key].running_turn_count -= count
        results = [self._decide(each, found, now_ns) for each in group]
        _write(driver, found, now_ns)
        return results

    def _read(
        self, driver: Driver, group: Sequence[AdmissionRequest | _End], expired: Iterable[str]
    ) -> _Rows:
        admitted = {
            row[0]: _Admitted(
                reservation_id=row[1], deadline_ns=row[2], key_texts=orjson.loads(row[3])
            )
            for row in driver.rows_in(_ADMISSIONS, [each.turn_key.text for each in group])
        }
        subjects = {each.subject for each in group if isinstance(each, AdmissionRequest)}
        keys = {key for subject in subjects for key in keys_of(subject)}
        limits = self._limits(driver, keys) if keys else {}
        texts = {key for key, each in limits.items() if is_limited(each)}
        texts.update(key for each in admitted.values() for key in each.key_texts)
        texts.update(expired)
        counters = {key: AdmissionCounter() for key in texts}
        if texts:
            for key, requests, running, _ in driver.rows_in(_COUNTERS, sorted(texts)):
                counters[key] = AdmissionCounter(
                    requests=Passed.of(requests), running_turn_count=running
                )
        changed = set(expired)
        return _Rows(admitted=admitted, counters=counters, limits=limits, changed_counters=changed)

    def _limits(self, driver: Driver, keys: Iterable[SubjectKey]) -> dict[str, Limits]:
        wanted = {each.text for key in keys for each in (key, *defaults_of(key))}
        own = {
            key: rows.limits_of(limits_json)
            for key, limits_json in driver.rows_in(_LIMITS, sorted(wanted))
        }
        return {
            key.text: resolve(key, lambda each: own.get(each.text), self._defaults) for key in keys
        }

    def _decide(
        self, work: AdmissionRequest | _End, found: _Rows, now_ns: int
    ) -> int | ServiceError | None:
        known = found.admitted.get(work.turn_key.text)
        if isinstance(work, _End):
            if known is not None and work.reservation_id in ("", known.reservation_id):
                _end(work.turn_key.text, known, found)
            return None
        if known is not None:
            if known.reservation_id != work.reservation_id:
                return runs_already()
            return known.deadline_ns
        try:
            return self._admit(work, found, now_ns)
        except ServiceError as refusal:
            return refusal

    def _admit(self, request: AdmissionRequest, found: _Rows, now_ns: int) -> int:
        levels = [
            AdmissionLevel(key=key, limits=limits, counter=found.counters[key.text])
            for key in keys_of(request.subject)
            if is_limited(limits := found.limits[key.text])
        ]
        admit(levels, self._limiter, now_ns)
        admission = _Admitted(
            reservation_id=request.reservation_id,
            deadline_ns=now_ns + int(request.lease_seconds * 1e9),
            key_texts=[level.key.text for level in levels],
        )
        found.admitted[request.turn_key.text] = admission
        found.changed_turns.add(request.turn_key.text)
        found.changed_counters.update(admission.key_texts)
        return admission.deadline_ns


def _end(turn_key: str, known: _Admitted, found: _Rows) -> None:
    del found.admitted[turn_key]
    found.changed_turns.add(turn_key)
    found.changed_counters.update(known.key_texts)
    for key in known.key_texts:
        found.counters[key].running_turn_count -= 1


def _write(driver: Driver, found: _Rows, now_ns: int) -> None:
    put, dropped = [], []
    for turn_key in sorted(found.changed_turns):
        each = found.admitted.get(turn_key)
        if each is None:
            dropped.append((turn_key,))
        else:
            texts = orjson.dumps(each.key_texts).decode()
            put.append((turn_key, each.reservation_id, each.deadline_ns, texts))
    if dropped:
        driver.write(_DROP_ADMISSION, dropped)
    if put:
        driver.write(_PUT_ADMISSION, put)
    if found.changed_counters:
        counted = (
            (key, found.counters[key].requests.text, found.counters[key].running_turn_count, now_ns)
            for key in sorted(found.changed_counters)
        )
        driver.write(_PUT_COUNTER, list(counted))
