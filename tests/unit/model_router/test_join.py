from hypothesis import example, given
from hypothesis import strategies as st
from parley_services.model_router.stream.continuation_dedup import ContinuationDedup

WORDS = st.lists(
    st.text(st.sampled_from("abcdefghij\u00e9\u4e2d"), min_size=1, max_size=9),
    min_size=1,
    max_size=40,
    unique=True,
)


def joined(prefix, pieces):
    """Return the text that a client has who got *prefix* and then the continuation."""
    dedup = ContinuationDedup(prefix)
    return prefix + "".join(map(dedup.feed, pieces)) + dedup.finish()


def cut(text, sizes):
    """Return *text* in pieces of *sizes*, again and again."""
    pieces, start = [], 0
    while start < len(text):
        size = sizes[len(pieces) % len(sizes)]
        pieces.append(text[start : start + size])
        start += size
    return pieces


SIZES = st.lists(st.integers(1, 12), min_size=1, max_size=5)


@given(words=WORDS, sizes=SIZES, data=st.data())
def test_no_text_repeats_wherever_the_break_is_and_however_far_back_the_model_begins(
    words, sizes, data
):
    text = " ".join(words)
    broke_at = data.draw(st.integers(1, len(text)))
    starts = [i for i in range(broke_at) if i == 0 or text[i - 1] == " "]
    resumes_at = data.draw(st.sampled_from(starts))
    assert joined(text[:broke_at], cut(text[resumes_at:], sizes)) == text


@given(words=WORDS, sizes=SIZES, data=st.data())
def test_nothing_is_lost_when_the_model_goes_on_at_the_exact_place(words, sizes, data):
    # Between words: no word occurs twice, so nothing looks like a repetition.
    text = " ".join(words)
    spaces = [i for i, character in enumerate(text) if character == " "] or [len(text)]
    broke_at = data.draw(st.sampled_from(spaces))
    assert joined(text[:broke_at], cut(text[broke_at:], sizes)) == text


@given(prefix=st.text(), sizes=SIZES, continuation=st.text())
@example(prefix="ab ab ab", sizes=[1], continuation="ab ab ab c")
def test_the_prefix_stays_and_the_result_does_not_depend_on_the_cutting(
    prefix, sizes, continuation
):
    whole = joined(prefix, [continuation] if continuation else [])
    assert whole == joined(prefix, cut(continuation, sizes))
    assert whole.startswith(prefix)
    assert continuation.endswith(whole[len(prefix) :])


def test_a_model_that_starts_all_over_repeats_nothing():
    text = "The quay is where ships are loaded. " * 3 + "Cranes stand on it."
    assert joined(text[:100], [text]) == text


def test_text_that_cannot_be_a_repetition_is_let_through_at_once():
    dedup = ContinuationDedup("The quick brown")
    assert dedup.feed("Z") == "Z"
    assert dedup.feed("ebra") == "ebra"


def test_text_is_held_only_while_it_may_be_a_repetition():
    dedup = ContinuationDedup("The quick brown fo")
    assert dedup.feed("brown ") == ""
    assert dedup.feed("fox") == "x"
    assert dedup.feed(" jumps") == " jumps"


def test_a_short_repetition_inside_a_word_is_chance():
    assert joined("ban", ["ana"]) == "banana"
