"""The personal data that a user sent."""

from collections.abc import Iterable, Sequence

from parley_services.guardrails.matching.failures import Failures
from parley_services.guardrails.matching.finders import Finder, every_hit
from parley_services.guardrails.text.folded_tail import FoldedTail


def own_values(
    finders: Sequence[Finder], texts: Iterable[str], failures: Failures
) -> frozenset[tuple[str, str]]:
    """
    Return label and key of each value that *finders* find in *texts*.

    What a rule that fails does not find counts as nobody's, so that it is hidden.
    """
    found = set()
    for text in texts:
        tail = FoldedTail()
        tail.append(text)
        for finder in finders:
            for hit in every_hit(finder, tail.data, failures):
                if hit.key:
                    found.add((hit.rule.label, hit.key))
    return frozenset(found)
