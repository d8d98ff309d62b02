"""What keys may do with accounting itself."""

import grpc
import pytest
from parley.accounting.v1 import accounting_service_pb2 as pb
from parley.accounting.v1 import accounting_service_pb2_grpc as pb_grpc
from parley.chat.v1 import subject_pb2
from parley.prompt_registry.v1 import prompt_registry_service_pb2 as prompts_pb2
from parley.prompt_registry.v1 import prompt_registry_service_pb2_grpc as prompts_grpc
from parley_services.cli.process.catalogue import load
from parley_services.kit.errors import KeyInvalid, KeyMissing, NotFound, ScopeMissing
from parley_services.kit.rpc.server import Host, ServerSettings
from pydantic import SecretStr

from tests.service.accounting.calls import ADA, refused, reserve
from tests.service.accounting.conftest import SECRET

READ, ADMIN, CHAT = pb.KEY_SCOPE_READ, pb.KEY_SCOPE_ADMIN, pb.KEY_SCOPE_CHAT
OTHER = subject_pb2.Subject(tenant_id="umbrella", user_id="bob")


async def key_of(stub, *scopes, subject=ADA):
    """Make a key and return its id and the metadata that carries it."""
    made = await stub.CreateKey(pb.CreateKeyRequest(subject=subject, scopes=scopes))
    return made.key.key_id, carrying(made.secret)


def carrying(secret):
    return (("authorization", f"Bearer {secret}"),)


async def list_keys(stub, metadata, tenant_id="acme"):
    return await stub.ListKeys(pb.ListKeysRequest(tenant_id=tenant_id), metadata=metadata)


@pytest.mark.parametrize("scope", [READ, ADMIN])
async def test_who_may_read_reads_of_the_own_tenant(stub, scope):
    _, metadata = await key_of(stub, scope)
    assert len((await list_keys(stub, metadata)).keys) == 1
    for tenant_id in ("umbrella", ""):
        error = await refused(list_keys(stub, metadata, tenant_id), ScopeMissing)
        assert error.metadata["tenant"] == "acme"


async def test_who_may_only_chat_reads_nothing(stub):
    _, metadata = await key_of(stub, CHAT)
    error = await refused(list_keys(stub, metadata), ScopeMissing)
    assert error.metadata["scope"] == "read"


async def test_who_may_only_read_changes_nothing(stub):
    _, metadata = await key_of(stub, READ)
    create = pb.CreateKeyRequest(subject=ADA, scopes=[CHAT])
    error = await refused(stub.CreateKey(create, metadata=metadata), ScopeMissing)
    assert error.metadata["scope"] == "admin"


async def test_an_admin_changes_keys_of_the_own_tenant(stub):
    _, metadata = await key_of(stub, ADMIN)
    made = await stub.CreateKey(pb.CreateKeyRequest(subject=ADA, scopes=[CHAT]), metadata=metadata)
    await stub.RotateKey(pb.RotateKeyRequest(key_id=made.key.key_id), metadata=metadata)
    await stub.RevokeKey(pb.RevokeKeyRequest(key_id=made.key.key_id), metadata=metadata)
    theirs, _ = await key_of(stub, CHAT, subject=OTHER)
    for call in (
        stub.CreateKey(pb.CreateKeyRequest(subject=OTHER, scopes=[CHAT]), metadata=metadata),
        stub.RotateKey(pb.RotateKeyRequest(key_id=theirs), metadata=metadata),
        stub.RevokeKey(pb.RevokeKeyRequest(key_id=theirs), metadata=metadata),
    ):
        await refused(call, ScopeMissing)
    unknown = pb.RevokeKeyRequest(key_id="key_unknown")
    await refused(stub.RevokeKey(unknown, metadata=metadata), NotFound)


def allowance(level, tenant_id="acme", subject_id="ada"):
    return pb.SetAllowanceRequest(
        allowance=pb.Allowance(
            level=level, tenant_id=tenant_id, subject_id=subject_id, requests_per_minute=5
        )
    )


async def test_an_admin_sets_what_users_get_but_not_what_the_tenant_gets(stub):
    _, metadata = await key_of(stub, ADMIN)
    await stub.SetAllowance(allowance(pb.SUBJECT_LEVEL_USER), metadata=metadata)
    for request in (
        allowance(pb.SUBJECT_LEVEL_TENANT, subject_id="acme"),
        allowance(pb.SUBJECT_LEVEL_SUITE, tenant_id="", subject_id=""),
        allowance(pb.SUBJECT_LEVEL_USER, tenant_id="umbrella"),
    ):
        await refused(stub.SetAllowance(request, metadata=metadata), ScopeMissing)
    delete = pb.DeleteAllowanceRequest(
        level=pb.SUBJECT_LEVEL_TENANT, tenant_id="acme", subject_id="acme"
    )
    await refused(stub.DeleteAllowance(delete, metadata=metadata), ScopeMissing)


async def test_what_services_do_no_key_may_do(stub):
    _, metadata = await key_of(stub, ADMIN)
    await refused(stub.Reserve(reserve(), metadata=metadata), ScopeMissing)


async def test_a_projection_is_of_no_tenant(stub):
    _, metadata = await key_of(stub, READ)
    request = pb.ProjectCostRequest(
        user_count=1,
        questions_per_user=1,
        input_token_count=1,
        output_token_count=1,
        model="gpt-4o-mini",
    )
    assert (await stub.ProjectCost(request, metadata=metadata)).question_count > 0


async def test_keys_that_are_wrong_or_malformed(stub):
    await refused(list_keys(stub, carrying("parley_wrong")), KeyInvalid)
    await refused(list_keys(stub, (("authorization", "Basic YTpi"),)), KeyMissing)


async def test_a_key_stands_in_for_the_service_token_at_accounting_only(tmp_path, monkeypatch):
    monkeypatch.setenv("PARLEY_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("PARLEY_ACCOUNTING_BOOTSTRAP_KEY", SECRET)
    settings = ServerSettings(
        address="127.0.0.1:0", service_token=SecretStr("hush"), drain_seconds=0
    )
    async with (
        Host(load(["accounting", "prompt_registry"]), settings) as host,
        grpc.aio.insecure_channel(f"127.0.0.1:{host.port}") as channel,
    ):
        accounting = pb_grpc.AccountingServiceStub(channel)
        prompts = prompts_grpc.PromptRegistryServiceStub(channel)
        listing = prompts_pb2.ListTemplatesRequest()
        found = await list_keys(accounting, carrying(SECRET), "default")
        assert len(found.keys) == 1
        await refused(list_keys(accounting, ()), KeyMissing)
        await refused(prompts.ListTemplates(listing, metadata=carrying(SECRET)), KeyMissing)
