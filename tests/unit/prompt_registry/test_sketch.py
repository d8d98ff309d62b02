from hypothesis import given
from hypothesis import strategies as st
from parley_services.prompt_registry.outcomes.sketch import RELATIVE_ERROR, LatencySketch

times = st.lists(st.floats(0.001, 1000), min_size=1, max_size=50)


def sketch_of(values):
    return sum((LatencySketch.of(each) for each in values), LatencySketch())


@given(times, st.floats(0, 1))
def test_a_percentile_is_within_one_percent_of_a_true_one(values, share):
    true = sorted(values)[int(share * (len(values) - 1))]
    found = sketch_of(values).quantile(share)
    assert abs(found - true) <= true * RELATIVE_ERROR * 1.001


@given(times, times)
def test_sketches_add_up(one, other):
    assert sketch_of(one) + sketch_of(other) == sketch_of([*one, *other])


def test_times_above_a_bound_are_counted():
    sketch = sketch_of([0.1] * 7 + [3.0] * 3)
    assert sketch.count_above(1.0) == 3
    assert LatencySketch().quantile(0.5) is None
