"""One spelling for each English word: American, without hyphens, contractions in full."""

import re
from functools import lru_cache
from typing import Final

from parley_services.semantic_cache.text.word_list import word_list, word_pairs

_CONTRACTIONS: Final = {
    "'s": "is",
    "'re": "are",
    "'ve": "have",
    "'ll": "will",
    "'d": "would",
    "'m": "am",
}
_IRREGULAR: Final[dict[str, tuple[str, ...]]] = {
    "&": ("and",),
    "can't": ("can", "not"),
    "cant": ("can", "not"),
    "won't": ("will", "not"),
    "cannot": ("can", "not"),
    "shan't": ("shall", "not"),
    "dont": ("do", "not"),
    "doesnt": ("does", "not"),
    "didnt": ("did", "not"),
    "isnt": ("is", "not"),
    "arent": ("are", "not"),
    "wasnt": ("was", "not"),
    "couldnt": ("could", "not"),
    "shouldnt": ("should", "not"),
    "wouldnt": ("would", "not"),
    "havent": ("have", "not"),
    "hasnt": ("has", "not"),
    "whats": ("what", "is"),
    "hows": ("how", "is"),
    "wheres": ("where", "is"),
    "whos": ("who", "is"),
    "im": ("i", "am"),
    "ive": ("i", "have"),
    "o'clock": ("o'clock",),
    "let's": ("let", "us"),
}
_TAKES_IS: Final = word_list(
    """it that there here he she who whom what when where why how which this everything
    something nothing"""
)
"""Words after which `'s` is a verb: `what's` is `what is`, but `Alice's` is not `Alice is`."""

POSSESSIVE: Final = "'s"

_PREFIXES: Final = word_list("""re pre co non un anti multi semi sub inter e""")
_MEANS_ANOTHER: Final = frozenset(("re-sign", "re-cover", "re-form", "re-sort", "re-lease"))
_COMPOUNDS: Final = {
    pair: "".join(pair)
    for pair in word_pairs(
        """wi/fi e/mail e/mails e/commerce e/book e/books web/site web/sites web/page on/line
        off/line log/in log/out sign/up sign/in sign/out set/up back/up smart/phone lap/top
        data/base pass/word post/code zip/code air/port bed/room bath/room book/mark health/care
        day/care life/style work/flow screen/shot file/name user/name time/zone time/table
        drop/down check/list help/desk land/line voice/mail spread/sheet key/board any/one
        every/one some/one any/body every/body any/more a/lot"""
    )
}

_AMERICAN: Final = dict(
    word_pairs(
        """grey/gray greys/grays cheque/check cheques/checks tyre/tire tyres/tires kerb/curb
        kerbs/curbs licence/license licences/licenses defence/defense offence/offense
        offences/offenses pretence/pretense practise/practice practised/practiced
        practising/practicing programme/program programmes/programs plough/plow
        aluminium/aluminum draught/draft draughts/drafts sceptic/skeptic sceptical/skeptical
        mould/mold moulds/molds mouldy/moldy moult/molt moustache/mustache pyjamas/pajamas
        jewellery/jewelry fulfil/fulfill enrol/enroll enrolment/enrollment instal/install
        instalment/installment instalments/installments skilful/skillful wilful/willful
        ageing/aging judgement/judgment acknowledgement/acknowledgment cosy/cozy
        sulphur/sulfur mum/mom mums/moms maths/math centre/center centres/centers
        centred/centered theatre/theater theatres/theaters metre/meter metres/meters
        litre/liter litres/liters kilometre/kilometer kilometres/kilometers
        centimetre/centimeter centimetres/centimeters millimetre/millimeter
        millimetres/millimeters fibre/fiber fibres/fibers calibre/caliber lustre/luster
        sabre/saber spectre/specter manoeuvre/maneuver manoeuvres/maneuvers anaemia/anemia
        anaemic/anemic paediatric/pediatric paediatrician/pediatrician oestrogen/estrogen
        foetus/fetus diarrhoea/diarrhea gynaecologist/gynecologist haemorrhage/hemorrhage
        leukaemia/leukemia caesarean/cesarean archaeology/archeology
        encyclopaedia/encyclopedia anaesthetic/anesthetic anaesthesia/anesthesia
        orthopaedic/orthopedic whilst/while amongst/among learnt/learned burnt/burned
        dreamt/dreamed towards/toward afterwards/afterward doughnut/donut doughnuts/donuts
        catalogue/catalog catalogues/catalogs dialogue/dialog analogue/analog
        cancelled/canceled cancelling/canceling counsellor/counselor counsellors/counselors
        travelled/traveled travelling/traveling traveller/traveler travellers/travelers
        labelled/labeled labelling/labeling modelled/modeled modelling/modeling
        signalled/signaled signalling/signaling fuelled/fueled fuelling/fueling
        levelled/leveled levelling/leveling tunnelling/tunneling dialled/dialed
        dialling/dialing totalled/totaled marvellous/marvelous woollen/woolen"""
    )
)
"""Words whose two spellings follow no rule. A pair that sounds odd in one of its meanings, such
as `draught`, does no harm: both texts are spelt alike before they are compared."""

_ISE = re.compile(r"([a-z]{4,})([iy])s(e|ed|es|er|ers|ing|ation|ations)")
_OUR = re.compile(r"([a-z]{3,})our(s|ed|er|ers|ing|ite|ites|able|ful|less|al|hood|ly)?")


def expanded(word: str) -> tuple[str, ...]:
    """
    Return a lower-case word with straight apostrophes as the words that it stands for.

    `what's` is `what is`; of `alice's` the possessive is a word of its own, `'s`.
    """
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if "'" not in word:
        return (word,)
    if word.endswith("n't"):
        return (word[:-3], "not")
    head, _, tail = word.partition("'")
    ending = f"'{tail}"
    if ending == POSSESSIVE and head not in _TAKES_IS:
        return (head, POSSESSIVE)
    return (head, _CONTRACTIONS[ending]) if ending in _CONTRACTIONS else (word,)


def without_hyphens(word: str) -> tuple[str, ...]:
    """Return the parts of a hyphenated lower-case word: `long-term` → `long`, `term`."""
    if word in _MEANS_ANOTHER:
        return (word,)
    parts = word.split("-")
    if parts[0] in _PREFIXES and len(parts) == 2:
        return ("".join(parts),)
    return tuple(parts)


def joined(tokens: list[str]) -> list[str]:
    """Return *tokens* with compounds that are written in one word, too, in one: `wi fi`."""
    result: list[str] = []
    for token in tokens:
        if result and (result[-1], token) in _COMPOUNDS:
            result[-1] = _COMPOUNDS[result[-1], token]
        else:
            result.append(token)
    return result


@lru_cache(maxsize=8_192)
def american(word: str) -> str:
    """
    Return the American spelling of an English lower-case word, as far as rules and a list go.

    Rules reach words that need no change (`exercise` becomes `exercize`); since the result is
    only compared with others of its kind, that does no harm.
    """
    if len(word) < 4:
        return word
    if word in _AMERICAN:
        return _AMERICAN[word]
    match = _ISE.fullmatch(word)
    if match is not None:
        return f"{match[1]}{match[2]}z{match[3]}"
    match = _OUR.fullmatch(word)
    if match is not None:
        return f"{match[1]}or{match[2] or ''}"
    return word
