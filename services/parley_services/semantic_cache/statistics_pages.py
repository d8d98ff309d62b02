"""Pages of the statistics, by tenant and template."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Final

import orjson

from parley_services.kit.errors import InvalidArgument
from parley_services.semantic_cache.statistics import Counts, Key

DEFAULT_PAGE_SIZE: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Some of the counts, in the order of their keys."""

    counts: dict[Key, Counts]
    next_token: str
    """Where the next page begins; empty on the last one."""


def page_of(totals: Mapping[Key, Counts], *, size: int, token: str) -> Page:
    """
    Return the page of *totals*, which are sorted by key, that *token* names.

    A token holds the last key of the page before, so that a template that appears between two
    calls neither repeats nor hides another. *size* 0 asks for 100. Raises InvalidArgument.
    """
    size = size or DEFAULT_PAGE_SIZE
    after = _key_of(token) if token else None
    keys = list(islice((key for key in totals if after is None or key > after), size + 1))
    shown = keys[:size]
    return Page(
        counts={key: totals[key] for key in shown},
        next_token=_token_of(shown[-1]) if len(keys) > size else "",
    )


def _token_of(key: Key) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(key)).decode()


def _key_of(token: str) -> Key:
    try:
        tenant_id, template = orjson.loads(base64.b64decode(token, b"-_", validate=True))
        if isinstance(tenant_id, str) and isinstance(template, str):
            return tenant_id, template
    except (ValueError, TypeError):
        pass
    raise InvalidArgument.field("page_token", "must be a token that a page came with")
