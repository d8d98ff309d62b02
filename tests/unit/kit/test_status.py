import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from parley.errors.v1.error_reason_pb2 import ErrorReason
from parley_services.kit import errors
from parley_services.kit.errors import FieldViolation
from parley_services.kit.rpc.status import (
    CODES,
    MAX_DETAILS_BYTES,
    MAX_MESSAGE_BYTES,
    RETRY_AFTER_SECONDS,
    service_error_of,
    shorten,
    status_of,
)


def leaves(kind):
    """Return the error classes below *kind* that say what went wrong."""
    return {
        leaf
        for sub in kind.__subclasses__()
        if sub.__module__ == errors.__name__
        for leaf in ({sub} if "reason" in vars(sub) else set()) | leaves(sub)
    }


def one_of(kind, message="What happened.", **arguments):
    if issubclass(kind, errors.NotFound | errors.AlreadyExists):
        arguments = {"resource_type": "template", "resource_name": "greeting"}
    return kind(message, **arguments)


def sent(error):
    """Return *error* as a client gets it."""
    status = status_of(error)
    return grpc.aio.AioRpcError(
        status.code,
        grpc.aio.Metadata(),
        grpc.aio.Metadata(*status.trailing_metadata),
        status.message,
    )


def details(error, kind):
    """Return the details of *kind* in the status of *error*."""
    found = []
    for detail in rpc_status.from_call(sent(error)).details:
        message = kind()
        if detail.Unpack(message):
            found.append(message)
    return found


def test_every_error_has_a_code():
    assert leaves(errors.ServiceError) == set(CODES)


def test_every_reason_is_one_error():
    declared = set(ErrorReason.keys()) - {"ERROR_REASON_UNSPECIFIED"}
    assert sorted(declared) == sorted(kind.reason for kind in CODES)


def test_every_code_is_what_the_proto_says():
    with open("protos/parley/errors/v1/error_reason.proto") as proto:
        paragraphs = proto.read().split("\n\n")
    for kind, code in CODES.items():
        [paragraph] = [text for text in paragraphs if f"  {kind.reason} =" in text]
        assert f"Code: {code.name}" in paragraph
        assert ("with RetryInfo" in paragraph) == (kind in RETRY_AFTER_SECONDS)


@pytest.mark.parametrize("kind", CODES)
def test_error_comes_back_as_itself(kind):
    error = one_of(kind)
    again = service_error_of(sent(error))

    assert type(again) is kind
    assert again.message == error.message
    assert again.metadata == error.metadata


def test_subclass_has_the_code_of_its_parent():
    class VersionNotFound(errors.NotFound):
        pass

    assert status_of(one_of(VersionNotFound)).code is grpc.StatusCode.NOT_FOUND


def test_violations_come_back():
    violations = (
        FieldViolation(field="messages[0].text", description="It is empty; write something."),
        FieldViolation(field="ttl", description="It is over a day; choose less."),
    )
    again = service_error_of(sent(errors.InvalidArgument.of(*violations)))

    assert again.violations == violations


@pytest.mark.parametrize(("given", "expected"), [(None, 1.0), (0.25, 0.25), (90.0, 90.0)])
def test_retry_info(given, expected):
    error = errors.RateLimited("Too fast.", retry_after_seconds=given)

    assert service_error_of(sent(error)).retry_after_seconds == expected


def test_no_retry_info_where_trying_again_does_not_help():
    assert details(errors.KeyInvalid("The key is revoked."), error_details_pb2.RetryInfo) == []


def test_quota_failure():
    error = errors.BudgetExhausted("The budget is spent.", metadata={"subject": "tenant/a"})
    [failure] = details(error, error_details_pb2.QuotaFailure)

    assert failure.violations[0].subject == "tenant/a"
    assert failure.violations[0].description == "The budget is spent."


def test_resource_info():
    [info] = details(one_of(errors.NotFound), error_details_pb2.ResourceInfo)

    assert (info.resource_type, info.resource_name) == ("template", "greeting")


def test_refusal_by_unavailable_tells_clients_not_to_retry():
    pushback = ("grpc-retry-pushback-ms", "-1")

    assert pushback in status_of(errors.ProviderUnavailable("All are away.")).trailing_metadata
    assert pushback not in status_of(errors.KeyInvalid("No.")).trailing_metadata


@pytest.mark.parametrize("letter", ["x", "\N{SNOWMAN}"])
@pytest.mark.parametrize("kind", CODES)
def test_long_errors_fit_the_trailers(kind, letter):
    long = letter * 20_000
    match kind:
        case errors.InvalidArgument:
            error = errors.InvalidArgument.of(
                *[FieldViolation(field=f"field_{n}", description=long) for n in range(200)]
            )
        case errors.NotFound | errors.AlreadyExists:
            error = kind(long, resource_type=long, resource_name=long)
        case _:
            error = kind(long, metadata={f"key_{n}": long for n in range(200)} | {"subject": long})
    status = status_of(error)
    sizes = {key: len(value) for key, value in status.trailing_metadata}

    assert len(status.message.encode()) <= MAX_MESSAGE_BYTES
    assert sizes["grpc-status-details-bin"] <= MAX_DETAILS_BYTES
    assert isinstance(service_error_of(sent(error)), kind)


def test_shorten():
    assert shorten("short", 10) == "short"
    assert shorten("0123456789a", 10) == "0123456..."
    assert shorten("\N{SNOWMAN}" * 10, 10) == "\N{SNOWMAN}" * 2 + "..."


def test_statuses_of_others_are_no_errors_of_ours():
    plain = grpc.aio.AioRpcError(grpc.StatusCode.UNAVAILABLE, None, None, "no connection")
    broken = grpc.aio.AioRpcError(
        grpc.StatusCode.ABORTED,
        None,
        grpc.aio.Metadata(("grpc-status-details-bin", b"\xff\xff")),
        "no",
    )
    rich = status_of(errors.KeyInvalid("No."))
    contradicting = grpc.aio.AioRpcError(
        grpc.StatusCode.ABORTED, None, grpc.aio.Metadata(*rich.trailing_metadata), "No."
    )

    for error in (plain, broken, contradicting):
        assert service_error_of(error) is None
