import functools

import pytest
from parley_services.guardrails.checks import Checks
from parley_services.guardrails.policy.policy_file import default_policy
from parley_services.guardrails.rules import PATTERN_RULES
from parley_services.kit.chat.input_source import InputText


@functools.cache
def checks():
    return Checks(default_policy(), [rule for rule in PATTERN_RULES if rule.label])


def redact(text):
    return checks().check_input([InputText(text=text)]).texts[0].text


@pytest.mark.parametrize(
    ("value", "label"),
    [
        ("4111111111111111", "CARD"),
        ("4111-1111-1111-1111", "CARD"),
        ("3782 822463 10005", "CARD"),
        ("30569309025904", "CARD"),
        ("6011111111111117", "CARD"),
        ("078-05-1120", "SSN"),
        ("GB82 WEST 1234 5698 7654 32", "IBAN"),
        ("DE89370400440532013000", "IBAN"),
        ("192.168.0.17", "IP"),
        ("2001:db8::8a2e:370:7334", "IP"),
        ("+44 20 7946 0018", "PHONE"),
        ("(212) 555-0123", "PHONE"),
        ("+49 30 901820", "PHONE"),
        ("first.last+tag@mail.example.co.uk", "EMAIL"),
        ("m\u00fcller@example.de", "EMAIL"),
        ("sk-proj-a8Fj29dkL0qWzX7vB3nM5tYp", "API_KEY"),
        ("54362315K", "NATIONAL_ID"),
        ("X2482300W", "NATIONAL_ID"),
        ("RCCMNL83S18D969H", "NATIONAL_ID"),
        ("2 95 10 99 126 111 93", "NATIONAL_ID"),
        ("BOXW310820HNERXN09", "NATIONAL_ID"),
        ("360426199101010071", "NATIONAL_ID"),
        ("390.533.447-05", "NATIONAL_ID"),
        ("85.07.30-033.28", "NATIONAL_ID"),
        ("756.9217.0769.85", "NATIONAL_ID"),
        ("971013-9019902", "NATIONAL_ID"),
        ("880320-0016", "NATIONAL_ID"),
        ("131052-308T", "NATIONAL_ID"),
        ("L898902C36UTO7408122F1204159ZE184226B<<<<<10", "PASSPORT"),
        ("AKIAIOSFODNN7EXAMPLE", "API_KEY"),
        ("ghp_16C7e42F292c6912E7710c838347Ae178B4a", "API_KEY"),
    ],
)
def test_a_value_is_redacted_whole(value, label):
    assert redact(f"It is {value}, ok") == f"It is [REDACTED_{label}_1], ok"


def test_thirteen_digits_are_a_card_beside_a_word_for_one():
    assert redact("card 4222222222222") == "card [REDACTED_CARD_1]"
    assert redact("article 4222222222222") == "article 4222222222222"


@pytest.mark.parametrize("number", ["000-12-3456", "666-12-3456", "900-12-3456", "123-45-0000"])
def test_nine_digits_in_the_form_of_an_ssn_are_one_whatever_their_range(number):
    assert redact(f"It is {number}, ok") == "It is [REDACTED_SSN_1], ok"


@pytest.mark.parametrize(
    "text",
    [
        "4111 1111 1111 1112",  # check digit
        "1234567812345670",  # no issuer
        "000123456 and 666123456 and 900123456",
        "DE89370400440532013001",  # check digits
        "version 1.2.3.4.5",
        "999.1.1.1",
        "2024-01-02 and 02.01.2024",
        "order 12345678",
        "54362315A",  # check letter
        "article AB1234567",
        "L898902C37UTO7408122F1204159ZE184226B<<<<<10",  # check digit of the number
        "The BSN 111222334 has wrong check digits",
        "from passport control to gate 123456789",
        "user@localhost",
        "api_key = your-api-key-goes-here-please",
        "12:30:45",
        "std::vector",
    ],
)
def test_what_only_looks_like_one_stays(text):
    assert redact(text) == text


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("my ssn is 078051120.", "my ssn is [REDACTED_SSN_1]."),
        ("born on 2 May 1990 in Rome", "born on [REDACTED_DATE_OF_BIRTH_1] in Rome"),
        ("DOB: 1990-05-02", "DOB: [REDACTED_DATE_OF_BIRTH_1]"),
        ("the ssn of 078051120 years", "the ssn of 078051120 years"),
        ("BSN: 111222333", "BSN: [REDACTED_NATIONAL_ID_1]"),
        ("PESEL 44051401359", "PESEL [REDACTED_NATIONAL_ID_1]"),
        ("NHS number: 943 476 5870", "NHS number: [REDACTED_NATIONAL_ID_1]"),
        ("SIN: 123-456-782", "SIN: [REDACTED_NATIONAL_ID_1]"),
        ("my TFN is 123 456 782", "my TFN is [REDACTED_NATIONAL_ID_1]"),
        ("Aadhaar 2341 2341 2346", "Aadhaar [REDACTED_NATIONAL_ID_1]"),
        ("Steuer-ID 36574261809", "Steuer-ID [REDACTED_NATIONAL_ID_1]"),
        ("passport number: C01X00T47.", "passport number: [REDACTED_PASSPORT_1]."),
        ("date of birth is 1990-05-02", "date of birth is [REDACTED_DATE_OF_BIRTH_1]"),
        ("her birthday is May 2nd, 1990", "her birthday is [REDACTED_DATE_OF_BIRTH_1]"),
        ("born 02.05.1990 in Rome", "born [REDACTED_DATE_OF_BIRTH_1] in Rome"),
        ("The war of 1990-05-02 was not born", "The war of 1990-05-02 was not born"),
        ("Write to bob@example.com..now", "Write to [REDACTED_EMAIL_1]..now"),
        ("bob@example.net0..now", "[REDACTED_EMAIL_1]0..now"),
        ("see...bob@example.com", "see...[REDACTED_EMAIL_1]"),
        ("4111 1111 1111 1111 212-555-0123", "[REDACTED_CARD_1] [REDACTED_PHONE_1]"),
    ],
)
def test_context_counts(text, redacted):
    assert redact(text) == redacted
