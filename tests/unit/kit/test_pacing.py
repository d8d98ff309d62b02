from parley_services.kit.rpc.pacing import (
    FREE_STREAMS,
    MAX_WINDOW_SECONDS,
    MIN_WINDOW_SECONDS,
    SECONDS_PER_STREAM,
    Pacer,
)


def test_a_few_streams_move_as_they_come():
    pacer = Pacer()
    with pacer.stream():
        assert pacer.window_seconds == MIN_WINDOW_SECONDS


def test_the_window_grows_with_the_streams_up_to_a_limit():
    pacer = Pacer()
    streams = [pacer.stream() for _ in range(FREE_STREAMS + 10)]
    for stream in streams:
        stream.__enter__()
    assert pacer.window_seconds == MIN_WINDOW_SECONDS + 10 * SECONDS_PER_STREAM
    more = [pacer.stream() for _ in range(10_000)]
    for stream in more:
        stream.__enter__()
    assert pacer.window_seconds == MAX_WINDOW_SECONDS
    for stream in (*streams, *more):
        stream.__exit__(None, None, None)
    assert pacer.window_seconds == MIN_WINDOW_SECONDS


def test_a_stream_that_fails_is_not_counted_any_more():
    pacer = Pacer()
    for _ in range(FREE_STREAMS + 1):
        try:
            with pacer.stream():
                raise ValueError
        except ValueError:
            pass
    assert pacer.window_seconds == MIN_WINDOW_SECONDS
