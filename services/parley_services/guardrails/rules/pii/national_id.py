"""Numbers that states give their people, where they have check digits."""

from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module
from typing import Final

from parley_services.guardrails.patterns.regex import compile_regex
from parley_services.guardrails.rule import Candidate, PatternRule, RuleInfo, Span
from parley_services.guardrails.rules.pii.evidence import found, is_inside_token, words_near
from parley_services.kit.chat.finding import FindingStage, GuardrailAction, Severity

_NUMBERS: Final[Mapping[str, tuple[str, ...]]] = {
    # By the shape of the number: 9 stands for a digit, A for a letter.
    "99999999A": ("es.dni",),
    "A9999999A": ("es.nie",),
    "AAAAAA99A99A999A": ("it.codicefiscale",),
    "999999999999999": ("fr.nir",),
    "999999A99999999": ("fr.nir",),
    "AAAA999999AAAAAAA9": ("mx.curp",),
    "AAAA999999AAAAAA99": ("mx.curp",),
    "99999999999999999A": ("cn.ric",),
    "999999999999999999": ("cn.ric",),
    "9999999999": ("se.personnummer", "cz.rc", "gb.nhs", "fi.hetu"),
    "999999999999": ("se.personnummer", "in_.aadhaar"),
    "9999999999999": ("kr.rrn", "ch.ssn", "za.idnr"),
    "999999999A": ("fi.hetu",),
    "999999A999A": ("fi.hetu",),
    "999999A9999": ("fi.hetu",),
    "99999999999": ("be.nn", "br.cpf", "pl.pesel", "de.idnr", "tr.tckimlik", "no.fodselsnummer"),
    "999999999": ("nl.bsn", "ca.sin", "au.tfn", "pt.nif"),
}
"""The modules of python-stdnum that know numbers of this shape."""

_SHAPE: Final = str.maketrans(
    {chr(code): "9" for code in range(ord("0"), ord("9") + 1)}
    | {chr(code): "A" for code in range(ord("A"), ord("Z") + 1)}
    | dict.fromkeys(" .-/+")
)


def _checks(candidate: str) -> Span | None:
    known = _NUMBERS.get(candidate.translate(_SHAPE), ())
    valid = any(_validator(name)(candidate) for name in known)
    return (0, len(candidate)) if valid else None


@cache
def _validator(name: str) -> Callable[[str], bool]:
    # Loaded when the first number of the shape is met: most texts have none.
    valid: Callable[[str], bool] = import_module(f"stdnum.{name}").is_valid
    return valid


_near = words_near(
    r"id|ids|identity|identity card|dni|nie|nif|nir|cpf|curp|ssn|ahv|avs|bsn|rrn|tax|taxpayer"
    r"|personnummer|cédula|codice fiscale|fiscal|national|social|security|sécurité sociale"
    r"|insurance|nino|pan|aadhaar|hetu|身份证|身份证号|citizen|resident|person|ausweis|pesel"
)
_written_so = compile_regex(
    r"\A(?:\d{3}\.\d{3}\.\d{3}-\d{2}|\d{2}\.\d{2}\.\d{2}-\d{3}\.\d{2}"
    r"|756\.\d{4}\.\d{4}\.\d{2}|[A-Z]{6}\d{2}[A-Z]\d{2}[A-Z]\d{3}[A-Z]"
    r"|[A-Z]{4}\d{6}[HM][A-Z]{5}[A-Z0-9]\d)\z"
)


def _in_an_input(candidate: Candidate) -> bool:
    return not is_inside_token(candidate)


def _in_an_answer(candidate: Candidate) -> bool:
    """Take a form that nothing else has, or a word near it: one check digit is a chance of one
    in ten."""
    if is_inside_token(candidate):
        return False
    return found(_written_so, candidate.value) or found(_near, candidate.before)


RULE = PatternRule(
    info=RuleInfo(
        rule_id="pii.national_id",
        stages=frozenset({FindingStage.INPUT, FindingStage.OUTPUT, FindingStage.CONTEXT}),
        action=GuardrailAction.REDACT,
        severity=Severity.HIGH,
        category="pii",
        description="A national identity or tax number with valid check digits, of 21 countries.",
        source="The issuers' check digits, as in https://arthurdejong.org/python-stdnum/formats",
    ),
    patterns=(
        # These are written in a way of their own.
        r"\b(?:\d{8}|[XYZ]-?\d{7})-?[A-Z]\b",
        r"\b[A-Z]{6}\d{2}[A-EHLMPRST]\d{2}[A-Z]\d{3}[A-Z]\b",
        r"\b[12] ?\d{2} ?(?:0[1-9]|1[0-2]) ?(?:\d{2}|2[AB]) ?\d{3} ?\d{3} ?\d{2}\b",
        r"\b[A-Z]{4}\d{6}[HM][A-Z]{5}[A-Z0-9]\d\b",
        r"\b[1-9]\d{5}(?:19|20)\d{2}(?:0[1-9]|1[0-2])[0-3]\d{4}[\dX]\b",
        r"\b\d{3}\.\d{3}\.\d{3}-\d{2}\b|\b\d{2}\.\d{2}\.\d{2}-\d{3}\.\d{2}\b",
        r"\b756\.\d{4}\.\d{4}\.\d{2}\b|\b\d{6}-\d{7}\b",
        r"\b(?:19|20)?\d{6}-\d{4}\b|\b\d{6}[\-+A-FU-Y]\d{3}[0-9A-Y]\b",
        # These are plain digits, unless they are called what they are.
        r"\b(?:BSN|[Bb]urgerservicenummer|PESEL|CPF|SIN|[Ss]ocial [Ii]nsurance|TFN|[Tt]ax [Ff]ile"
        r"|NHS|[Aa]adhaar|AADHAAR|[Ss]teuer-?(?:ID|[Ii]dentifikationsnummer)|IdNr|NIF|RRN"
        r"|[Pp]ersonnummer|[Ff]ødselsnummer|[Rr]odné číslo|(?:TC )?[Kk]imlik|(?:SA|RSA) ID)"
        r"(?:[ \-](?:[Nn]umber|[Nn]o\.?|[Nn]r\.?|[Nn]um))?(?: (?:is|ist))?[ :=#]{1,3}"
        r"(\d{2,6}(?:[ .\-/]?\d{2,6}){1,4})\b",
    ),
    ignore_case=False,
    accept=_checks,
    evidence={
        FindingStage.INPUT: _in_an_input,
        FindingStage.CONTEXT: _in_an_input,
        FindingStage.OUTPUT: _in_an_answer,
    },
    label="NATIONAL_ID",
)
