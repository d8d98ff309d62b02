"""Templates and their history in a relational database: units of work."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import orjson
from sqlalchemy import Connection, delete, select, update

from parley_services.kit.errors import Conflict
from parley_services.kit.storage.database import insert
from parley_services.prompt_registry.experiments.experiment import Experiment
from parley_services.prompt_registry.experiments.rollback_records import Rollback
from parley_services.prompt_registry.stores.store import Changes, Page, TemplateChange
from parley_services.prompt_registry.stores.tables import (
    experiments,
    label_moves,
    labels,
    microseconds,
    moment,
    registry_state,
    rollbacks,
    sticky_assignments,
    template_versions,
    templates,
)
from parley_services.prompt_registry.templates.serialization import parse, plain
from parley_services.prompt_registry.templates.template import (
    Label,
    LabelMove,
    Template,
    TemplateContent,
    TemplateVersion,
)


def read_revision(connection: Connection) -> int:
    """Return the revision."""
    return int(connection.execute(select(registry_state.c.revision)).scalar_one())


def read_changes(connection: Connection, after_revision: int) -> Changes:
    """
    Return every template that was changed after a revision.

    The revision is read first and versions last: what is written meanwhile is either all
    seen or is newer than the revision, and then it is read again.
    """
    revision = read_revision(connection)
    rows = connection.execute(select(templates).where(templates.c.revision > after_revision)).all()
    names = [row.name for row in rows]
    label_rows = connection.execute(select(labels).where(labels.c.template.in_(names))).all()
    experiment_rows = connection.execute(
        select(experiments).where(experiments.c.template.in_(names))
    ).all()
    version_rows = connection.execute(
        select(template_versions)
        .where(template_versions.c.template.in_(names))
        .order_by(template_versions.c.version)
    ).all()
    found = []
    for row in rows:
        made = [
            parse(Experiment, orjson.loads(each.experiment_json))
            for each in experiment_rows
            if each.template == row.name
        ]
        found.append(
            Template(
                name=row.name,
                revision=row.revision,
                versions=tuple(_version(v) for v in version_rows if v.template == row.name),
                labels=tuple(
                    sorted(
                        (_label(each) for each in label_rows if each.template == row.name),
                        key=lambda each: each.name,
                    )
                ),
                experiments=tuple(
                    sorted(made, key=lambda each: (each.create_time, each.experiment_id))
                ),
            )
        )
    return Changes(revision=revision, templates=tuple(found))


def write_template(connection: Connection, before: Template | None, change: TemplateChange) -> int:
    """Make *change* of *before*; return the new revision. Raises Conflict."""
    after = change.after
    # Its row is the lock of all changes: who comes second sees what the first one wrote.
    revision = int(
        connection.execute(
            update(registry_state)
            .values(revision=registry_state.c.revision + 1)
            .returning(registry_state.c.revision)
        ).scalar_one()
    )
    stored = connection.execute(
        select(templates.c.revision).where(templates.c.name == after.name)
    ).scalar_one_or_none()
    if (stored or 0) != (before.revision if before else 0):
        raise Conflict(f"Template {after.name} was changed by somebody else: try again.")
    connection.execute(
        insert(connection, templates)
        .values(name=after.name, revision=revision)
        .on_conflict_do_update(index_elements=["name"], set_={"revision": revision})
    )
    _insert(connection, template_versions, _new_version_rows(before, after))
    connection.execute(delete(labels).where(labels.c.template == after.name))
    _insert(connection, labels, [{"template": after.name, **asdict(e)} for e in after.labels])
    _write_experiments(connection, before, after)
    _insert(connection, label_moves, [_with_time(each) for each in change.moves])
    _insert(connection, rollbacks, [_with_time(each) for each in change.rollbacks])
    return revision


def read_label_moves(
    connection: Connection, template: str, position: int, limit: int
) -> Page[LabelMove]:
    """Return moves of the template's labels, newest first."""
    query = select(label_moves).where(label_moves.c.template == template)
    return _page(connection, query, label_moves, LabelMove, position, limit)


def read_rollbacks(
    connection: Connection, template: str, position: int, limit: int
) -> Page[Rollback]:
    """Return rollbacks, newest first."""
    query = select(rollbacks)
    if template:
        query = query.where(rollbacks.c.template == template)
    return _page(connection, query, rollbacks, Rollback, position, limit)


def write_assignment(connection: Connection, experiment_id: str, unit: str, arm: str) -> str:
    """Keep *arm* unless one is kept already; return the one that is kept."""
    connection.execute(
        insert(connection, sticky_assignments)
        .values(experiment_id=experiment_id, unit=unit, arm=arm)
        .on_conflict_do_nothing()
    )
    kept = connection.execute(
        select(sticky_assignments.c.arm).where(
            sticky_assignments.c.experiment_id == experiment_id,
            sticky_assignments.c.unit == unit,
        )
    ).scalar_one()
    return str(kept)


def _write_experiments(connection: Connection, before: Template | None, after: Template) -> None:
    held = set(before.experiments) if before else set()
    changed = [each for each in after.experiments if each not in held]
    if not changed:
        return
    owners = connection.execute(
        select(experiments.c.experiment_id)
        .where(experiments.c.experiment_id.in_([each.experiment_id for each in changed]))
        .where(experiments.c.template != after.name)
    ).all()
    if owners:
        raise Conflict("An experiment of that id exists on another template.")
    for each in changed:
        text = orjson.dumps(plain(each)).decode()
        connection.execute(
            insert(connection, experiments)
            .values(experiment_id=each.experiment_id, template=after.name, experiment_json=text)
            .on_conflict_do_update(index_elements=["experiment_id"], set_={"experiment_json": text})
        )


def _new_version_rows(before: Template | None, after: Template) -> list[dict[str, Any]]:
    return [
        {
            "template": each.template,
            "version": each.version,
            "content_sha256": each.content_sha256,
            "content_json": orjson.dumps(plain(each.content)).decode(),
            "author": each.author,
            "note": each.note,
            "create_time_us": microseconds(each.create_time),
        }
        for each in after.versions[before.latest_version if before else 0 :]
    ]


def _insert(connection: Connection, table: Any, rows: Sequence[dict[str, Any]]) -> None:
    if rows:
        connection.execute(table.insert(), rows)


def _with_time(each: LabelMove | Rollback) -> dict[str, Any]:
    row = asdict(each)
    row["create_time_us"] = microseconds(row.pop("create_time"))
    return row


def _page(
    connection: Connection, query: Any, table: Any, kind: Any, position: int, limit: int
) -> Page[Any]:
    if position:
        query = query.where(table.c.id < position)
    rows = connection.execute(query.order_by(table.c.id.desc()).limit(limit + 1)).all()
    items = []
    for row in rows[:limit]:
        values = dict(row._mapping)
        del values["id"]
        values["create_time"] = moment(values.pop("create_time_us"))
        items.append(kind(**values))
    last = rows[limit - 1].id if len(rows) > limit else None
    return Page(items=tuple(items), next_position=last)


def _version(row: Any) -> TemplateVersion:
    return TemplateVersion(
        template=row.template,
        version=row.version,
        content_sha256=row.content_sha256,
        content=parse(TemplateContent, orjson.loads(row.content_json)),
        author=row.author,
        note=row.note,
        create_time=moment(row.create_time_us),
    )


def _label(row: Any) -> Label:
    values = dict(row._mapping)
    del values["template"]
    return Label(**values)
