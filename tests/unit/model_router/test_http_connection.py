import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from parley_services.model_router.providers.http.connection import ChunkedDecoder, LengthDecoder


def chunked(parts):
    framed = b"".join(b"%x;a=b\r\n%s\r\n" % (len(part), part) for part in parts if part)
    return framed + b"0\r\nx-trailer: 1\r\n\r\n"


@given(
    parts=st.lists(st.binary(max_size=40), max_size=8),
    sizes=st.lists(st.integers(1, 9), min_size=1),
)
def test_chunks_come_apart_however_they_are_cut(parts, sizes):
    decoder, data, payload, step = ChunkedDecoder(), chunked(parts) + b"more", b"", 0
    while data:
        size = sizes[step % len(sizes)]
        if not decoder.is_done:
            payload += decoder.feed(data[:size])
        data, step = data[size:], step + 1
    assert payload == b"".join(parts)
    assert decoder.is_done


@pytest.mark.parametrize("data", [b"zz\r\n", b"-1\r\n", b"\r\n", b"x" * 70_000])
def test_nonsense_is_refused(data):
    with pytest.raises(httpx2.RemoteProtocolError):
        ChunkedDecoder().feed(data)


def test_what_comes_after_the_end_is_surplus():
    decoder = ChunkedDecoder()
    assert decoder.feed(chunked([b"ab"]) + b"HTTP") == b"ab"
    assert decoder.surplus == b"HTTP"


def test_a_body_of_known_length_ends_there():
    decoder = LengthDecoder(4)
    assert decoder.feed(b"ab") == b"ab"
    assert not decoder.is_done
    assert decoder.feed(b"cdef") == b"cd"
    assert (decoder.is_done, decoder.surplus) == (True, b"ef")


def test_a_body_without_a_length_goes_on():
    decoder = LengthDecoder(None)
    assert decoder.feed(b"abc") == b"abc"
    assert not decoder.is_done
