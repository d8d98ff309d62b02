"""Question pairs made by rule: traps whose answers differ, rewordings whose answers do not.

Templates and word lists are split in two: `train` and `test` share neither a sentence frame nor a
noun, so the test shows whether the kind was learnt.
"""

import random
from collections.abc import Callable

Row = tuple[str, str, bool, str]

_NOUNS = {
    "train": "account invoice report photo contact playlist document calendar backup order message "
    "file license key card balance subscription ticket booking loan deposit salary parcel",
    "test": "savings statement video mailbox bookmark spreadsheet database refund profile wallet "
    "coupon receipt domain voucher notebook recording contract",
}
_NAMES = {
    "train": "Berlin Rome Oslo Peru Spain India Kenya Chile Gmail Outlook Excel Word Python Java "
    "Dropbox Slack Notion Jira",
    "test": "Lisbon Vienna Quito Ghana Japan Brazil Cairo Norway Thunderbird Numbers Rust Kotlin "
    "Trello Box Zoom",
}
_PLACES = {
    "train": ["Hamburg", "Prag", "Madrid", "Toledo", "Turin", "Bari", "Nantes", "Nice", "Braga"],
    "test": ["Bremen", "Zürich", "Sevilla", "Burgos", "Siena", "Parma", "Lille", "Brest", "Faro"],
}
_VERBS = {
    "train": "delete change cancel update check use move export close share rename freeze",
    "test": "remove edit stop renew verify store transfer download open publish archive block",
}
_WAYS = {
    "train": [
        "How do I get from {a} to {b}?",
        "How do I move data from {a} to {b}?",
        "Can I call {b} from {a}?",
        "How long does it take to fly from {a} to {b}?",
        "How can I convert {a} to {b}?",
        "Is {a} better than {b}?",
        "Why did {a} leave before {b}?",
        "Who beat {a} after losing to {b}?",
    ],
    "test": [
        "What is the cheapest way from {a} to {b}?",
        "How do I import {a} into {b}?",
        "Can I send a letter to {b} from {a}?",
        "Is {a} further north than {b}?",
        "Did {a} buy {b}?",
        "How many hours is {a} ahead of {b}?",
    ],
}
_ABROAD = {
    "train": [
        "Wie komme ich von {a} nach {b}?",
        "¿Cómo voy de {a} a {b}?",
        "Come vado da {a} a {b}?",
        "Comment aller de {a} à {b} ?",
    ],
    "test": [
        "Welcher Zug fährt von {a} nach {b}?",
        "¿Cuánto cuesta el tren de {a} a {b}?",
        "Quanto dura il viaggio da {a} a {b}?",
        "Quel bus va de {a} à {b} ?",
        "Como vou de {a} para {b}?",
    ],
}
_DIRECTIONS = {
    "train": [
        ("to", "from"),
        ("into", "out of"),
        ("with", "without"),
        ("before", "after"),
        ("inside", "outside"),
        ("above", "below"),
    ],
    "test": [("to", "from"), ("into", "out of"), ("behind", "in front of"), ("on", "off")],
}
_FRAMES = {
    "train": [
        "How do I {v} money {d} my {n}?",
        "Can I {v} it {d} the {n}?",
        "What happens if I {v} something {d} my {n}?",
    ],
    "test": [
        "How can I {v} data {d} my {n}?",
        "Where do I {v} things {d} the {n}?",
        "Is it possible to {v} items {d} a {n}?",
    ],
}
_ACTORS = {
    "train": [
        ("Can you {v} my {n}?", "Can I {v} my {n}?"),
        ("How do you {v} my {n}?", "How do I {v} my {n}?"),
        ("What is my {n} limit?", "What is your {n} limit?"),
        ("Will you {v} the {n} for me?", "Will I have to {v} the {n}?"),
        ("What is your best {n}?", "What is the best {n}?"),
        ("Why did you choose this {n}?", "Why choose this {n}?"),
    ],
    "test": [
        ("Are you able to {v} my {n}?", "Am I able to {v} my {n}?"),
        ("Do you {v} my {n}?", "Should I {v} my {n}?"),
        ("What is my {n} policy?", "What is your {n} policy?"),
        ("What is your most popular {n}?", "What is the most popular {n}?"),
        ("How do you like your {n}?", "What is the best way to use a {n}?"),
    ],
}
_ASPECTS = {
    "train": [
        ("How many times can I {v} my {n}?", "How many times have I used {v} on my {n}?"),
        ("How do I {v} my {n}?", "Why can't I {v} my {n}?"),
        ("What is a {n}, and how is it made?", "What is a {n} made of?"),
        ("How do I get my {n}?", "How do I pay with my {n}?"),
        ("When will my {n} arrive?", "Did my {n} arrive?"),
        ("How do I {v} a {n}?", "How do I undo it when I {v} a {n}?"),
        ("Is the {n} free?", "Is the {n} free of errors?"),
    ],
    "test": [
        ("How many {n}s can I have?", "How many {n}s do I have?"),
        ("How can I {v} my {n}?", "Who can {v} my {n}?"),
        ("Why was the {n} never sent?", "Why is the {n} late though it was sent?"),
        ("How do I find my {n}?", "How do I log in using the {n}?"),
        ("How do I {v} the {n}?", "How can I improve how I {v} the {n}?"),
    ],
}
_SETS = {
    "train": [
        ("vitamin", "A B C D E K"),
        ("hepatitis", "A B C"),
        ("Medicare Part", "A B C D"),
        ("chapter", "1 2 3 4 5 6 7"),
        ("version", "2 3 4 5 10 11"),
        ("", "Monday Tuesday Friday Sunday"),
    ],
    "test": [
        ("class", "A B C D"),
        ("appendix", "A D S T"),
        ("step", "2 3 5 6 8"),
        ("release", "7 8 9 12"),
        ("", "January March August November"),
    ],
}
_SET_FRAMES = {
    "train": [
        "What should I know about {x}?",
        "Is {x} safe in pregnancy?",
        "Explain {x} in detail",
        "What changes with {x}?",
    ],
    "test": ["What does {x} cover?", "Can you summarise {x}?", "When does {x} apply?"],
}
_OPPOSITE = {
    "train": [
        ("enable", "disable"),
        ("buy", "sell"),
        ("lock", "unlock"),
        ("increase", "decrease"),
        ("install", "uninstall"),
        ("lend", "borrow"),
        ("show", "hide"),
        ("join", "leave"),
    ],
    "test": [
        ("upgrade", "downgrade"),
        ("activate", "deactivate"),
        ("add", "remove"),
        ("accept", "decline"),
        ("zip", "unzip"),
        ("start", "stop"),
        ("mute", "unmute"),
    ],
}
_SAME = {
    "train": [
        ("How do I {v} my {n}?", "How can I {v} my {n}?"),
        ("How do I {v} my {n}?", "What is the way to {v} my {n}?"),
        ("Where can I {v} the {n}?", "Where do I {v} the {n}?"),
        ("Can I {v} a {n} if it is late?", "If it is late, can I {v} a {n}?"),
        ("Is there a {n} at the office?", "At the office, is there a {n}?"),
        ("What is a {n}?", "What's a {n}?"),
        ("What is a {n}?", "Can you explain what a {n} is?"),
        ("How do I {v} my {n}?", "I want to {v} my {n}, how do I do that?"),
        ("Why can't I {v} my {n}?", "Why am I not able to {v} my {n}?"),
        ("How do I get from {a} to {b}?", "What is the way from {a} to {b}?"),
        ("Can I order 3 {n}s?", "Can I order three {n}s?"),
        ("Wie kündige ich {a}?", "Wie kann ich {a} kündigen?"),
        ("¿Cómo cancelo {a}?", "¿Cómo puedo cancelar {a}?"),
    ],
    "test": [
        ("How do I {v} my {n}?", "What are the steps to {v} my {n}?"),
        ("How can I {v} the {n}?", "In what way can I {v} the {n}?"),
        ("What should I {v} for a week in {a}?", "For a week in {a}, what should I {v}?"),
        ("How do I {v} a {n}?", "What do I have to do to {v} a {n}?"),
        ("What does {n} mean?", "What is the meaning of {n}?"),
        ("Is 20 minutes enough to {v} it?", "Is twenty minutes enough to {v} it?"),
        ("Why is my {n} gone?", "What is the reason my {n} is gone?"),
        ("Comment annuler {a} ?", "Comment puis-je annuler {a} ?"),
        ("Wo finde ich {a}?", "Wo kann ich {a} finden?"),
    ],
}
_WRAPPERS = {
    "train": ["Hi, {q}", "um {q}", "{q} Thanks!", "Can you tell me: {q}", "please, {q}"],
    "test": ["Hello! {q}", "{q} please", "I wonder, {q}", "Quick question: {q}", "so {q} cheers"],
}


def rows(part: str, count: int, seed: int) -> list[Row]:
    """Return `count` pairs of `part` ("train" or "test"), the kinds in turn."""
    draw = random.Random(seed)
    makers: list[Callable[[str, random.Random], Row]] = [
        _direction,
        _swap,
        _abroad,
        _template(_ACTORS, False, "actor"),
        _template(_ASPECTS, False, "aspect"),
        _member,
        _opposite,
        _template(_SAME, True, "reworded"),
        _template(_SAME, True, "reworded"),
        _template(_SAME, True, "reworded"),
        _wrapped,
        _typo,
    ]
    found: dict[tuple[str, str], Row] = {}
    for turn in range(count * 6):
        row = makers[turn % len(makers)](part, draw)
        if row[0] != row[1]:
            one, other, same, kind = row
            if draw.random() < 0.5:
                one, other = other, one
            found.setdefault((one, other), (one, other, same, kind))
        if len(found) == count:
            break
    return list(found.values())


def _words(table: dict[str, str], part: str) -> list[str]:
    return table[part].split()


def _fill(text: str, part: str, draw: random.Random) -> dict[str, str]:
    a, b = draw.sample(_words(_NAMES, part), 2)
    return {
        "v": draw.choice(_words(_VERBS, part)),
        "n": draw.choice(_words(_NOUNS, part)),
        "a": a,
        "b": b,
    }


def _direction(part: str, draw: random.Random) -> Row:
    frame, values = draw.choice(_FRAMES[part]), _fill("", part, draw)
    one, other = draw.choice(_DIRECTIONS[part])
    return frame.format(d=one, **values), frame.format(d=other, **values), False, "direction"


def _swap(part: str, draw: random.Random) -> Row:
    frame, values = draw.choice(_WAYS[part]), _fill("", part, draw)
    turned = values | {"a": values["b"], "b": values["a"]}
    return frame.format(**values), frame.format(**turned), False, "order"


def _abroad(part: str, draw: random.Random) -> Row:
    frame = draw.choice(_ABROAD[part])
    a, b = draw.sample(_PLACES[part], 2)
    return frame.format(a=a, b=b), frame.format(a=b, b=a), False, "order_abroad"


def _template(table: dict[str, list[tuple[str, str]]], same: bool, kind: str) -> Callable:
    def make(part: str, draw: random.Random) -> Row:
        one, other = draw.choice(table[part])
        values = _fill("", part, draw)
        return one.format(**values), other.format(**values), same, kind

    return make


def _member(part: str, draw: random.Random) -> Row:
    (name, members), frame = draw.choice(_SETS[part]), draw.choice(_SET_FRAMES[part])
    one, other = draw.sample(members.split(), 2)
    first, second = (frame.format(x=f"{name} {m}".strip()) for m in (one, other))
    return first, second, False, "member"


def _opposite(part: str, draw: random.Random) -> Row:
    one, other = draw.choice(_OPPOSITE[part])
    pairs = _SAME[part][:2]
    frame, second = draw.choice(pairs)
    noun = draw.choice(_words(_NOUNS, part))
    first, last = frame.format(v=one, n=noun), draw.choice([frame, second]).format(v=other, n=noun)
    return first, last, False, "opposite"


def _wrapped(part: str, draw: random.Random) -> Row:
    text = draw.choice(_SAME[part])[0].format(**_fill("", part, draw))
    return text, draw.choice(_WRAPPERS[part]).format(q=text), True, "wrapped"


def _typo(part: str, draw: random.Random) -> Row:
    text = draw.choice(_SAME[part])[0].format(**_fill("", part, draw))
    words = text.split()
    long = [i for i, w in enumerate(words) if len(w) > 5 and w.isalpha()]
    if not long:
        return text, text, True, "typo"
    i, at = draw.choice(long), draw.randrange(1, 4)
    word = words[i]
    cut = word[:at] + word[at + 1 :]
    turned = word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    words[i] = draw.choice([cut, turned])
    return text, " ".join(words), True, "typo"
