import random

from parley_services.accounting.ledger.output_length import OutputLength


def test_it_learns_the_quantile_of_a_templates_answers():
    draw = random.Random(7)
    length = OutputLength()
    for _ in range(5_000):
        length = length.learn(draw.randint(100, 200), 0.9)
    estimate = length.estimate()
    assert estimate is not None
    assert 180 <= estimate <= 200


def test_it_says_nothing_before_it_knows_enough():
    length = OutputLength()
    for _ in range(19):
        length = length.learn(100, 0.9)
    assert length.estimate() is None
    assert length.learn(100, 0.9).estimate() is not None
