"""Policies by tenant and template, from a YAML file that is checked as a whole at start."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from parley_services.semantic_cache.policy import Policies, Policy, Scope

Share = Annotated[float, Field(ge=0, le=1)]


class _OfTemplate(BaseModel):
    """What a file may say of a template; what it leaves out is as in the wider policy."""

    model_config = ConfigDict(extra="forbid")

    similarity_threshold: Share | None = None
    fallback_similarity_threshold: Share | None = None
    max_false_hit_rate: Annotated[float, Field(ge=0, le=0.1)] | None = None
    max_error_rate: Annotated[float, Field(gt=0, le=0.5)] | None = None
    ttl_seconds: Annotated[float, Field(gt=0)] | None = None
    show_original_text: bool | None = None
    scope: Scope | None = None


class _OfTenant(_OfTemplate):
    tenant_capacity: Annotated[int, Field(ge=4)] | None = None


class _Tenant(_OfTenant):
    templates: dict[str, _OfTemplate] = {}


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    default: _OfTenant = _OfTenant()
    templates: dict[str, _OfTemplate] = {}
    tenants: dict[str, _Tenant] = {}


class PolicyFileError(Exception):
    """The file cannot be read or says something that is not a policy."""


def read_policies(path: Path, default: Policy) -> Policies:
    """
    Return the policies of the file at *path*; what it leaves out is as in *default*.

    A template of a tenant takes what the tenant's own `templates` say of it, else the
    tenant, else the file's `templates`, else the file's `default`: field by field. Raises
    PolicyFileError, which names the place in the file.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        file = _File.model_validate({} if content is None else content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        raise PolicyFileError(f"{path}: {place}: {first['msg']}") from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise PolicyFileError(f"{path} cannot be read as YAML: {error}") from error
    default = _changed(default, file.default)
    by_tenant = {}
    by_both = {}
    for tenant_id, tenant in file.tenants.items():
        by_tenant[tenant_id] = _changed(default, tenant)
        for template in file.templates.keys() | tenant.templates.keys():
            shared = file.templates.get(template, _OfTemplate())
            own = tenant.templates.get(template, _OfTemplate())
            by_both[tenant_id, template] = _changed(
                _changed(_changed(default, shared), tenant), own
            )
    return Policies(
        default=default,
        by_template={name: _changed(default, each) for name, each in file.templates.items()},
        by_tenant=by_tenant,
        by_tenant_and_template=by_both,
    )


def _changed(policy: Policy, by: _OfTemplate) -> Policy:
    changes: dict[str, Any] = {
        name: value
        for name, value in by
        # Only of the error rate does null say something: that entries do not learn.
        if name in by.model_fields_set
        and name != "templates"
        and (value is not None or name == "max_error_rate")
    }
    return replace(policy, **changes)
