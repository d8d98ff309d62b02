from datetime import UTC, timedelta

from parley_services.kit.clock import SystemClock

from tests.support.clock import ManualClock


def test_system_clock():
    clock = SystemClock()

    assert clock.now().tzinfo is UTC
    assert clock.monotonic() <= clock.monotonic()


def test_manual_clock_moves_when_told():
    clock = ManualClock()
    now, monotonic = clock.now(), clock.monotonic()
    clock.advance(1.5)

    assert clock.now() - now == timedelta(seconds=1.5)
    assert clock.monotonic() - monotonic == 1.5
