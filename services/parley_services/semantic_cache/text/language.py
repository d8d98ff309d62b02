"""In which language a text is, by its script and the small words of each language."""

from typing import Final

from parley_services.semantic_cache.text.typos import is_common
from parley_services.semantic_cache.text.word_list import word_list

ENGLISH: Final = "en"
UNKNOWN: Final = ""


_SMALL_WORDS: Final[dict[str, frozenset[str]]] = {
    ENGLISH: word_list(
        """the a an of to in on at by for from with about into and or but if is are was were be
        am do does did have has had will would shall should can could may might must i you he
        she it we they my your his her our their what which who whom whose when where why how
        this that these those there not no any some all me us them than as so up out"""
    ),
    "de": word_list(
        """der die das den dem des ein eine einen einem einer eines und oder aber wenn ist sind
        war waren bin habe hat haben wird werden kann kannst können muss müssen soll darf ich du
        er sie es wir ihr mein meine meinen meinem meiner dein deine was welche welcher wer wen
        wem wann wo warum wie nicht kein keine zu von nach mit für auf im am zum zur bei aus"""
    ),
    "es": word_list(
        """el la los las un una unos unas de del al en con por para y o pero si es son está están
        esta fue era soy tengo tiene hay puedo puede pueden debo mi mis tu tus su sus yo se me te
        lo le qué que quién quien cuándo cuando dónde donde cómo como cuál cual cuánto cuanto por
        no sin más a hacer hace voy va"""
    ),
    "fr": word_list(
        """le la les un une des du de au aux en dans avec pour par sur et ou mais si est sont
        était suis ai a ont peut puis peux dois je tu il elle nous vous ils mon ma mes ton ta son
        sa ses ce cette que qui quoi quand où comment pourquoi combien quel quelle quels ne pas
        l j c qu n y"""
    ),
    "it": word_list(
        """il lo la i gli le un uno una di del della dei delle da dal in nel con per su e o ma se
        è sono era ho ha hanno posso può devo mi ti ci si io mio mia miei tuo che chi quando dove
        come perché quanto quale non più a al alla cosa"""
    ),
    "pt": word_list(
        """o a os as um uma de do da dos das em no na nos nas com por para e ou mas se é são está
        foi era sou tenho tem há posso pode devo eu me meu minha meus seu sua que quem quando
        onde como porque qual quanto não mais ao à"""
    ),
    "nl": word_list(
        """de het een en of maar als is zijn was ben heb heeft kan kunnen moet mag ik jij je hij
        zij wij mijn jouw wat welke wie wanneer waar waarom hoe niet geen van naar met voor op in
        aan bij uit te"""
    ),
    "sv": word_list(
        """en ett och eller men om är var har kan måste ska jag du han hon vi min mitt mina din
        vad vilken vem när var varför hur inte från till med för på av att i det den mig"""
    ),
    "pl": word_list(
        """i lub ale czy jest są był mam ma może mogę muszę ja ty on ona my mój moja moje twój co
        który kto kiedy gdzie dlaczego jak nie z do na w dla od po się to"""
    ),
    "id": word_list(
        """yang dan atau tetapi jika adalah ada bisa dapat harus saya anda dia kami apa siapa
        kapan mana mengapa bagaimana tidak di ke dari dengan untuk pada ini itu"""
    ),
}


def _script(start: int, end: int, language: str) -> tuple[int, int, str]:
    return (start, end, language)


_SCRIPTS: Final = (
    _script(0x0370, 0x03FF, "el"),
    _script(0x0400, 0x04FF, "ru"),
    _script(0x0590, 0x05FF, "he"),
    _script(0x0600, 0x06FF, "ar"),
    _script(0x0900, 0x097F, "hi"),
    _script(0x0980, 0x09FF, "bn"),
    _script(0x0E00, 0x0E7F, "th"),
    _script(0x3040, 0x30FF, "ja"),
    _script(0xAC00, 0xD7AF, "ko"),
    _script(0x4E00, 0x9FFF, "zh"),
)
_URDU: Final = frozenset("ٹڈڑںےگکچپیہ")
_KANA: Final = (0x3040, 0x30FF)


def language_of(text: str, words: tuple[str, ...]) -> str:
    """
    Return the language of *text*, whose lower-case *words* these are, as `en`; "" if unknown.

    A script that belongs to one language decides; one that belongs to several gives the largest
    of them. Among languages in Latin letters the one with the most small words wins. Without
    any, it is English if its words are common ones there.
    """
    if not text.isascii():
        by_script = _by_script(text)
        if by_script:
            return by_script
    counts = {
        language: sum(word in small for word in words) for language, small in _SMALL_WORDS.items()
    }
    own = counts.pop(ENGLISH)
    most = max(counts.values())
    if own >= most and (own or text.isascii()):
        # Names and terms are shared by all languages, common words are not.
        known = sum(word in _SMALL_WORDS[ENGLISH] or is_common(word) for word in words)
        clear = own > 1 and own >= 2 * most
        if clear or known >= (0.75 if own == most else 0.5) * len(words):
            return ENGLISH
        return UNKNOWN
    if not most:
        return UNKNOWN
    return max(counts, key=lambda language: counts[language])


def _by_script(text: str) -> str:
    counts: dict[str, int] = {}
    for letter in text:
        code = ord(letter)
        if code < 0x0370:
            continue
        for start, end, language in _SCRIPTS:
            if start <= code <= end:
                counts[language] = counts.get(language, 0) + 1
                break
    if not counts:
        return UNKNOWN
    latin = sum(letter.isascii() and letter.isalpha() for letter in text)
    if "ja" in counts and "zh" in counts:
        return "ja"
    best = max(counts, key=lambda language: counts[language])
    # A few foreign letters do not make an English sentence another one.
    if counts[best] * 3 < latin:
        return UNKNOWN
    return "ur" if best == "ar" and sum(letter in _URDU for letter in text) >= 2 else best
