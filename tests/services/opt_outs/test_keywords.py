"""The words STOP, START and HELP, however people write them."""

import time

import pytest
from pydantic import ValidationError

from otp_service.config.policy.messaging import InboundPolicy
from otp_service.services.opt_outs import keywords


def kind_of(text: str) -> str | None:
    found = keywords.find(text)
    return found.kind if found else None


STOP = "STOP STOPALL UNSUBSCRIBE CANCEL END QUIT REVOKE OPTOUT PARE SAIR DESCADASTRAR"
STOP += " ALTO PARAR BAJA CANCELAR SALIR DETENER"
START = "START UNSTOP INICIAR ALTA COMENZAR EMPEZAR REANUDAR COMECAR VOLTAR RETOMAR"
STOP += " REMOVE BASTA ARRET ARRETER DESABONNER"
DRESSED = ("{}", " {}\r\n", "{}.", "¡{}!", "“{}”", "*{}*", "_{}_", "\u200b{}\u200b", "{} 🙏", "({})")


@pytest.mark.parametrize("dress", DRESSED)
def test_each_word_counts_in_any_case_with_punctuation_and_space_around_it(dress: str) -> None:
    for words, kind in ((STOP, "stop"), (START, "start"), ("HELP INFO AYUDA AJUDA", "help")):
        for word in words.split():
            assert {kind_of(dress.format(each)) for each in (word, word.lower(), word.title())} == {kind}


@pytest.mark.parametrize("text", ["Começar", "COMEC\u0327AR", "\uff33\uff34\uff21\uff32\uff34", "ÁLTA"])
def test_accents_and_width_do_not_matter(text: str) -> None:
    assert kind_of(text) == "start"


@pytest.mark.parametrize(
    "text",
    [
        "stop all",
        "Stop, please",
        "STOP sending me this!",
        "stopall now",
        "unsubscribe me",
        "opt-out",
        "s.t.o.p.",
        "STOP\n2",
    ],
)
def test_stop_counts_as_the_first_word_too(text: str) -> None:
    assert kind_of(text) == "stop"


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            " ",
            "...",
            "don't stop",
            "stopping",
            "stopй",
            "please help",
            "start now",
            "end of story",
            "cancel my order",
        ),
        *("baja california", "info@example.com", "123456", "ABCD-EFGH", "СТОП", "停止", "توقف", "st op"),
    ],
)
def test_anything_else_is_none_of_them(text: str) -> None:
    assert kind_of(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "Please stop",
        "stop, please",
        "por favor: BAJA",
        "dar de baja",
        "Darme de baja.",
        "arrêt",
        "no más",
        "pls remove",
    ],
)
def test_people_say_stop_in_several_words(text: str) -> None:
    assert kind_of(text) == "stop"


@pytest.mark.parametrize("text", ["please", "please stop texting", "please do not stop", "svp", "remove my order"])
def test_politeness_alone_and_a_sentence_are_no_stop(text: str) -> None:
    assert kind_of(text) is None


def test_a_keyword_has_its_language() -> None:
    found = [keywords.find(word) for word in ("Help", "info?", "¿Ayuda?", "ajuda", "STOP", "pare", "arret")]
    assert [each.locale for each in found if each] == ["en", "en", "es", "pt", "en", "pt", "fr"]


def test_the_policy_adds_keywords_and_takes_none_away() -> None:
    policy = InboundPolicy.model_validate(
        {"stop_words": ["Basta ya"], "start_words": {"fr": ["Oui"]}, "help_words": {"fr": ["Aide"], "de": ["Hilfe!"]}}
    )
    assert keywords.find("¡basta ya!", policy) == keywords.Keyword("stop", "en")
    assert keywords.find("OUI", policy) == keywords.Keyword("start", "fr")
    assert keywords.find("hilfe", policy) == keywords.Keyword("help", "de")
    assert keywords.find("STOP", policy) == keywords.find("STOP")
    assert keywords.find("basta ya") is None
    assert keywords.find("start", InboundPolicy.model_validate({"stop_words": ["start"]})) == keywords.Keyword(
        "stop", "en"
    )


@pytest.mark.parametrize("words", [[""], ["..."], ["x" * 41], {"no locale": ["x"]}, "STOP", [5]])
def test_a_keyword_that_can_never_fit_is_an_error(words: object) -> None:
    with pytest.raises(ValidationError):
        InboundPolicy.model_validate({"stop_words": words})


@pytest.mark.parametrize(
    "text",
    [
        "a" * 10_000,
        "\ufdfa" * 10_000,
        "e" + "\u0301" * 10_000,
        "ж" * 10_000,
        " " * 9_999 + "x",
        "\udc00" * 10_000,
        "(" * 10_000,
    ],
    ids=["letters", "ligatures", "accents", "cyrillic", "spaces", "surrogates", "brackets"],
)
def test_a_hostile_text_costs_no_time(text: str) -> None:
    began = time.process_time()
    assert kind_of(text) is None
    assert time.process_time() - began < 0.1
