"""
What a prompt template is made of. Imports neither grpc nor protobuf.

A template is one unit of change: its versions, which never change, the labels that point
to them, and the experiments that split its traffic. A store keeps it whole or not at all.
"""

import hashlib
import re
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Final

import orjson

from parley_services.kit.chat.cacheable import CacheScope, ExtraCacheable
from parley_services.kit.chat.message import (
    ResponseFormat,
    ResponseFormatType,
    SamplingParameters,
)
from parley_services.kit.errors import Conflict, InvalidArgument, NotFound
from parley_services.prompt_registry.experiments.experiment import Experiment

PRODUCTION: Final = "production"
"""The label that turns get which ask for no other."""

TEMPLATE_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")
LABEL_NAME: Final = re.compile(r"[a-z][a-z0-9_-]{0,63}")


_FREE_TEXT: Final = ResponseFormat(type=ResponseFormatType.TEXT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """A variable of a template."""

    name: str
    json_schema: str = ""
    """The JSON Schema (draft 2020-12) its value must fit. Empty: any string. A value whose
    schema is of another type than string is given as JSON text."""
    required: bool = False
    default_value: str = ""
    """The value if none is given."""
    max_token_count: int = 0
    """The most tokens of its value; 0 for no limit of its own."""
    description: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateContent:
    """What changes the prompt or the call."""

    system_text: str = ""
    user_text: str
    variables: tuple[Variable, ...] = ()
    model: str = ""
    """A model or model group. Empty: the router's default."""
    parameters: SamplingParameters = field(default_factory=SamplingParameters)
    response_format: ResponseFormat = _FREE_TEXT
    cache_scope: CacheScope = CacheScope.TENANT
    guardrail_policy: str = ""
    tools: tuple[str, ...] = ()
    retrieval_collection: str = ""
    extra_cacheable: tuple[ExtraCacheable, ...] = ()
    """Answers that are cached though they are not cached by default."""

    def sha256(self) -> str:
        """
        Return the SHA-256 of the content as canonical JSON, in hexadecimal.

        A field that a later release added is left out while it says nothing, so that what is
        stored already keeps its hash, and pushing it again makes no new version.
        """
        form = asdict(self)
        form["response_format"]["type"] = self.response_format.type.key
        form["cache_scope"] = self.cache_scope.key
        form["extra_cacheable"] = [each.key for each in self.extra_cacheable]
        if not self.extra_cacheable:
            del form["extra_cacheable"]
        return hashlib.sha256(orjson.dumps(form, option=orjson.OPT_SORT_KEYS)).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateVersion:
    """One version of a template. Never changes."""

    template: str
    version: int
    content_sha256: str
    content: TemplateContent
    author: str = ""
    note: str = ""
    create_time: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """A name that points to a version."""

    name: str
    version: int
    etag: str
    is_protected: bool = False
    generation: int = 1
    """Counts its moves, from 1. Outcomes of one generation are measured together."""
    previous_version: int = 0
    """Where it returns to on a breach; 0 if nowhere: it never moved, or it was rolled back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelMove:
    """One move of a label, for its history."""

    template: str
    label: str
    from_version: int
    """0 for none."""
    to_version: int
    """0 for removal."""
    author: str
    note: str
    create_time: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """A template with its versions (ascending), labels (by name) and experiments (oldest first)."""

    name: str
    versions: tuple[TemplateVersion, ...] = ()
    labels: tuple[Label, ...] = ()
    experiments: tuple[Experiment, ...] = ()
    revision: int = 0
    """The store's revision at its last change; 0 if it was never stored."""

    @property
    def latest_version(self) -> int:
        """The newest version's number; 0 without one."""
        return len(self.versions)

    def version(self, number: int) -> TemplateVersion:
        """Return a version by its *number*. Raises NotFound."""
        if not 1 <= number <= len(self.versions):
            raise NotFound(
                f"Template {self.name} has no version {number}; its newest is "
                f"{self.latest_version}.",
                resource_type="template_version",
                resource_name=f"{self.name}/{number}",
            )
        return self.versions[number - 1]

    def label(self, name: str) -> Label:
        """Return a label by its *name*. Raises NotFound."""
        found = self.find_label(name)
        if found is None:
            raise NotFound(
                f"Template {self.name} has no label {name[:64]}.",
                resource_type="label",
                resource_name=f"{self.name}/{name[:64]}",
            )
        return found

    def find_label(self, name: str) -> Label | None:
        """Return a label by its *name*, or None."""
        return next((each for each in self.labels if each.name == name), None)

    def experiment(self, experiment_id: str) -> Experiment:
        """Return an experiment by its id. Raises NotFound."""
        for each in self.experiments:
            if each.experiment_id == experiment_id:
                return each
        raise NotFound(
            f"Template {self.name} has no experiment {experiment_id[:64]}.",
            resource_type="experiment",
            resource_name=experiment_id[:64],
        )

    def with_version(
        self, content: TemplateContent, *, author: str, note: str, base_version: int, now: datetime
    ) -> "Template":
        """
        Return the template with one more version, or itself if the newest has that content.

        Raises Conflict if *base_version* is not 0 and not the newest.
        """
        if base_version and base_version != self.latest_version:
            raise Conflict(
                f"Version {base_version} of {self.name} is not the newest, "
                f"{self.latest_version} is: read it and try again."
            )
        digest = content.sha256()
        if self.versions and self.versions[-1].content_sha256 == digest:
            return self
        version = TemplateVersion(
            template=self.name,
            version=self.latest_version + 1,
            content_sha256=digest,
            content=content,
            author=author,
            note=note,
            create_time=now,
        )
        return replace(self, versions=(*self.versions, version))

    def with_label(
        self,
        name: str,
        version: int,
        *,
        now: datetime,
        etag: str = "",
        is_protected: bool = False,
        may_return: bool = True,
    ) -> "Template":
        """
        Return the template with label *name* at *version*.

        *may_return* says whether a breach takes the label back to where it was. Raises
        NotFound for a version that does not exist, Conflict if *etag* is not the label's.
        """
        self.version(version)
        before = self.find_label(name)
        check_etag(etag, before.etag if before else "", f"Label {name} of {self.name}")
        label = Label(
            name=name,
            version=version,
            etag=new_etag(name, version, now.isoformat()),
            is_protected=is_protected,
            generation=before.generation + 1 if before else 1,
            previous_version=before.version if before and may_return else 0,
        )
        others = [each for each in self.labels if each.name != name]
        labels = tuple(sorted([*others, label], key=lambda each: each.name))
        return replace(self, labels=labels)

    def without_label(self, name: str) -> "Template":
        """Return the template without label *name*. Raises NotFound."""
        gone = self.label(name)
        return replace(self, labels=tuple(each for each in self.labels if each is not gone))

    def with_experiment(self, experiment: Experiment) -> "Template":
        """Return the template with *experiment* in place of the one of its id, or added."""
        others = [
            each for each in self.experiments if each.experiment_id != experiment.experiment_id
        ]
        ordered = sorted(
            [*others, experiment], key=lambda each: (each.create_time, each.experiment_id)
        )
        return replace(self, experiments=tuple(ordered))


def new_etag(*parts: object) -> str:
    """Return a short text that differs whenever *parts* do."""
    return hashlib.sha256("\x00".join(map(str, parts)).encode()).hexdigest()[:16]


def check_etag(given: str, actual: str, what: str) -> None:
    """Raise Conflict if *given* is not empty and not *actual*."""
    if given and given != actual:
        raise Conflict(f"{what} was changed by somebody else: read it again and try again.")


def check_name(field_path: str, name: str, pattern: re.Pattern[str]) -> None:
    """Raise InvalidArgument if *name* is not of *pattern*."""
    if not pattern.fullmatch(name):
        raise InvalidArgument.field(field_path, f"Use a name of the form {pattern.pattern}.")
