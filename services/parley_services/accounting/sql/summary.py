"""
Sums of spending, from rollups where they exist and from the ledger where they do not.

What is rolled up is read span by span; the ends of a range that are less than a day, and
entries that came since the last roll, are read from the ledger. All of it is one statement,
so that no entry is seen twice or missed while it is rolled up.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import (
    JSON,
    ColumnElement,
    Connection,
    Select,
    and_,
    cast,
    func,
    literal,
    or_,
    select,
    union_all,
)

from parley_services.accounting.clock_reader import from_us, to_us
from parley_services.accounting.reports.costs import CostGroup, CostGrouping, CostQuery, CostSummary
from parley_services.accounting.reports.rollups import (
    ALL_TENANTS,
    DAY_US,
    HOUR_US,
    OF_ONE_TENANT,
    SUMS,
    TOTAL,
    Cover,
    Span,
    Stretch,
    cover,
)
from parley_services.accounting.sql import schema
from parley_services.kit.chat.usage import Usage
from parley_services.kit.errors import FieldViolation, InvalidArgument

_E = schema.entries.c
_R = schema.rollups.c
_P = schema.rollup_positions.c
_COST = SUMS.index("cost_nano_usd")
_COLUMNS = {
    CostGrouping.USER: _E.user_id,
    CostGrouping.MODEL: _E.model,
    CostGrouping.TEMPLATE: _E.template,
    CostGrouping.TEAM: _E.team_id,
    CostGrouping.KEY: _E.key_id,
    CostGrouping.TENANT: _E.tenant_id,
}


def summarize(connection: Connection, query: CostQuery) -> CostSummary:
    """Return spending as *query* asks for it."""
    total_of = _Parts(connection, query, CostGrouping.UNSPECIFIED)
    of_groups = _Parts(connection, query, query.grouping)
    _check_detail(connection, query, of_groups)
    parts = union_all(*total_of.all()).cte("parts")
    total = connection.execute(select(*_summed(parts))).one()
    groups: list[CostGroup] = []
    if query.grouping is not CostGrouping.UNSPECIFIED:
        statement = _grouped(query, of_groups)
        groups = [
            _group(_name(query.grouping, row[0]), row[1:]) for row in connection.execute(statement)
        ]
    return CostSummary(
        groups=groups[: query.limit],
        total=_group("", total),
        has_more=len(groups) > query.limit,
    )


def _check_detail(connection: Connection, query: CostQuery, parts: "_Parts") -> None:
    """Refuse a range that ends within a day whose entries are archived."""
    edges = parts.edges()
    if not edges:
        return
    checkpoints = schema.checkpoints.c
    latest = select(func.max(checkpoints.create_time_us))
    if query.tenant_id:
        latest = latest.where(checkpoints.tenant_id == query.tenant_id)
    archived_us = connection.execute(latest).scalar()
    if archived_us is not None and any(start_us <= archived_us for start_us, _ in edges):
        raise InvalidArgument.of(
            *(
                FieldViolation(
                    field=name,
                    description=f"must be a whole day in UTC up to {from_us(archived_us):%Y-%m-%d},"
                    " since entries up to then are archived",
                )
                for name in ("start_time", "end_time")
            )
        )


def _grouped(query: CostQuery, source: "_Parts") -> Select[Any]:
    parts = union_all(*source.all()).cte("parts")
    sums = _summed(parts)
    order = (parts.c.name,) if query.grouping.is_by_time else (sums[_COST].desc(), parts.c.name)
    statement = select(parts.c.name, *sums).group_by(parts.c.name).order_by(*order)
    if query.grouping is CostGrouping.TAG:
        # Those without the tag are what is left of all; nothing may be left.
        statement = statement.having(or_(*(each != 0 for each in sums)))
    return statement.offset(query.offset).limit(query.limit + 1)


def _summed(parts: Any) -> list[ColumnElement[Any]]:
    return [func.coalesce(func.sum(parts.c[name]), 0) for name in SUMS]


class _Parts:
    """The rows whose sums are the answer: a name and the sums, from each source."""

    def __init__(self, connection: Connection, query: CostQuery, grouping: CostGrouping) -> None:
        self._is_sqlite = connection.dialect.name == "sqlite"
        self._query = query
        self._grouping = grouping
        self._start_us = None if query.start_time is None else to_us(query.start_time)
        self._end_us = None if query.end_time is None else to_us(query.end_time)

    def all(self) -> Sequence[Select[Any]]:
        """Return every source."""
        return [*self._rolled(), *self._edges(), self._tail()]

    def _cover(self) -> Cover:
        smallest, largest = Span.DAY, Span.DAYS_512
        match self._grouping:
            case CostGrouping.UNSPECIFIED:
                smallest = Span.HOUR
            case CostGrouping.HOUR:
                smallest = largest = Span.HOUR
            case CostGrouping.DAY:
                largest = Span.DAY
            case _:
                pass
        return cover(self._start_us, self._end_us, smallest=smallest, largest=largest)

    def _rolled(self) -> Iterator[Select[Any]]:
        sums = [_R[name] for name in SUMS]
        for stretch in self._cover().stretches:
            match self._grouping:
                case CostGrouping.HOUR | CostGrouping.DAY:
                    yield self._span(stretch, CostGrouping.UNSPECIFIED, _R.start_us, sums)
                case CostGrouping.TAG:
                    less = [(-_R[name]).label(name) for name in SUMS]
                    yield self._span(stretch, CostGrouping.TAG, _R.name, sums)
                    yield self._span(stretch, CostGrouping.UNSPECIFIED, literal(""), sums)
                    yield self._span(stretch, CostGrouping.TAG, literal(""), less)
                case other:
                    yield self._span(stretch, other, _R.name, sums)

    def _span(
        self,
        stretch: Stretch,
        dimension: CostGrouping,
        name: ColumnElement[Any],
        sums: Sequence[ColumnElement[Any]],
    ) -> Select[Any]:
        statement = select(name.label("name"), *sums).where(
            _R.dimension == _dimension(dimension),
            _R.tag == (self._query.tag if dimension is CostGrouping.TAG else ""),
            _R.level == int(stretch.span),
        )
        if self._query.tenant_id or _dimension(dimension) not in OF_ONE_TENANT:
            statement = statement.where(_R.tenant_id == (self._query.tenant_id or ALL_TENANTS))
        if stretch.start_us is not None:
            statement = statement.where(_R.start_us >= stretch.start_us)
        if stretch.end_us is not None:
            statement = statement.where(_R.start_us < stretch.end_us)
        return statement

    def edges(self) -> Sequence[tuple[int, int]]:
        """Return the ends of the range that no whole span holds."""
        return self._cover().edges

    def _edges(self) -> Iterator[Select[Any]]:
        """Yield the rolled-up entries at the ends of the range that no whole span holds."""
        for start_us, end_us in self.edges():
            statement = self._entries().join(
                schema.rollup_positions,
                and_(_P.tenant_id == _E.tenant_id, _E.sequence <= _P.sequence),
            )
            yield statement.where(_E.end_time_us >= start_us, _E.end_time_us < end_us)

    def _tail(self) -> Select[Any]:
        """Return the entries that are not rolled up yet."""
        streams = schema.streams
        rolled = func.coalesce(_P.sequence, 0)
        # By stream, so that each is read from its own position on.
        statement = self._entries(
            streams.outerjoin(schema.rollup_positions, _P.tenant_id == streams.c.tenant_id).join(
                schema.entries,
                and_(_E.tenant_id == streams.c.tenant_id, _E.sequence > rolled),
            )
        )
        if self._start_us is not None:
            statement = statement.where(_E.end_time_us >= self._start_us)
        if self._end_us is not None:
            statement = statement.where(_E.end_time_us < self._end_us)
        return statement.where(streams.c.sequence > rolled)

    def _entries(self, source: Any = schema.entries) -> Select[Any]:
        sums = [_E[name] for name in SUMS]
        statement = select(self._entry_name().label("name"), *sums).select_from(source)
        if self._query.tenant_id:
            statement = statement.where(_E.tenant_id == self._query.tenant_id)
        return statement

    def _entry_name(self) -> ColumnElement[Any]:
        match self._grouping:
            case CostGrouping.UNSPECIFIED:
                return literal("")
            case CostGrouping.HOUR:
                return _E.end_time_us - _E.end_time_us % literal(HOUR_US)
            case CostGrouping.DAY:
                return _E.end_time_us - _E.end_time_us % literal(DAY_US)
            case CostGrouping.TAG:
                return func.coalesce(self._tag_value(), "")
            case other:
                return _COLUMNS[other]

    def _tag_value(self) -> ColumnElement[Any]:
        if self._is_sqlite:
            # Not json_extract: a path has no way to spell a name with a quote.
            tags = func.json_each(_E.tags_json).table_valued("key", "value")
            return select(tags.c.value).where(tags.c.key == self._query.tag).scalar_subquery()
        return func.json_extract_path_text(cast(_E.tags_json, JSON), self._query.tag)


def _dimension(grouping: CostGrouping) -> str:
    return grouping.key if grouping else TOTAL


def _name(grouping: CostGrouping, value: Any) -> str:
    match grouping:
        case CostGrouping.HOUR:
            return from_us(value).strftime("%Y-%m-%dT%H")
        case CostGrouping.DAY:
            return from_us(value).strftime("%Y-%m-%d")
        case _:
            return str(value)


def _group(name: str, sums: Sequence[Any]) -> CostGroup:
    turns, attempts, hits, read, cached, written, output, reasoning, cost, saved = map(int, sums)
    return CostGroup(
        name=name,
        request_count=turns,
        attempt_count=attempts,
        cache_hit_count=hits,
        usage=Usage(
            input_token_count=read,
            cached_input_token_count=cached,
            cache_write_token_count=written,
            output_token_count=output,
            reasoning_token_count=reasoning,
        ),
        cost_nano_usd=cost,
        saved_cost_nano_usd=saved,
    )
