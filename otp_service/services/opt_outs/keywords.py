"""The keywords by which people opt out of messages, opt in again, or ask for help."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from otp_service.config.policy.messaging import InboundPolicy

Kind = Literal["stop", "start", "help"]

_LOOKED_AT = 1000
"""Characters of a text: many times what any of the keywords has."""
_SHIPPED: Mapping[Kind, Mapping[str, frozenset[str]]] = {
    "stop": {
        "en": frozenset(
            (
                *("STOP", "STOPALL", "STOP ALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT", "REVOKE", "OPTOUT", "OPT OUT"),
                *("REMOVE", "REMOVE ME", "NO MORE", "NO MORE MESSAGES", "DO NOT TEXT", "DO NOT TEXT ME"),
            )
        ),
        "es": frozenset(
            (
                *("ALTO", "PARAR", "BAJA", "CANCELAR", "SALIR", "DETENER", "BASTA", "REMOVER", "ELIMINAR"),
                *("DAR DE BAJA", "DARME DE BAJA", "DARSE DE BAJA", "DAME DE BAJA", "DENME DE BAJA", "NO MAS"),
                *("NO MAS MENSAJES", "CANCELAR SUSCRIPCION"),
            )
        ),
        "pt": frozenset(("PARE", "SAIR", "DESCADASTRAR", "CHEGA", "CANCELAR INSCRICAO", "NAO QUERO MAIS")),
        "fr": frozenset(("ARRET", "ARRETER", "ARRETEZ", "DESINSCRIRE", "DESINSCRIPTION", "DESABONNER")),
    },
    "start": {
        "en": frozenset(("START", "UNSTOP")),
        "es": frozenset(("INICIAR", "ALTA", "COMENZAR", "EMPEZAR", "REANUDAR")),
        "pt": frozenset(("COMECAR", "VOLTAR", "RETOMAR")),
    },
    "help": {"en": frozenset(("HELP", "INFO")), "es": frozenset(("AYUDA",)), "pt": frozenset(("AJUDA",))},
}
_STOP_AT_FIRST = frozenset(("STOP", "STOPALL", "UNSUBSCRIBE"))
"""These count whatever follows: nobody begins a sentence with them who wants more."""
_PLEASE = re.compile(r"^(?:PLEASE|PLS|POR FAVOR|SVP)\s+(?=.)|(?<=.)\s+(?:PLEASE|PLS|POR FAVOR|SVP)$")


@dataclass(frozen=True)
class Keyword:
    """What a person asks for. `locale`: the language of the keyword."""

    kind: Kind
    locale: str


def find(text: str, added: InboundPolicy | None = None) -> Keyword | None:
    """Return the keyword that a text from a person is. Case, accents, punctuation, quotes and space do not matter.

    The text is the keyword alone, a STOP also with a "please"; STOP, STOPALL and UNSUBSCRIBE count as the first word
    too. `added`: the policy, whose keywords count beside the shipped ones. In doubt it is a STOP.
    """
    plain = _plain(text)
    word = _alone(plain)
    for kind, locales in _SHIPPED.items():
        alike = {word, _PLEASE.sub("", word)} if kind == "stop" else {word}
        for locale, words in (*_added(added, kind).items(), *locales.items()):
            if alike & words:
                return Keyword(kind, locale)
        if kind == "stop" and _first(plain) in _STOP_AT_FIRST:
            return Keyword("stop", "en")
    return None


def _added(inbound: InboundPolicy | None, kind: Kind) -> dict[str, frozenset[str]]:
    by_locale = {} if inbound is None else getattr(inbound, f"{kind}_words")
    return {locale: _normalized(tuple(words)) for locale, words in by_locale.items()}


@lru_cache
def _normalized(words: Sequence[str]) -> frozenset[str]:
    return frozenset(_alone(_plain(word)) for word in words)


def _plain(text: str) -> str:
    """Return the text in upper case, without accents; `_` is punctuation, unlike in a regular expression's words."""
    letters = unicodedata.normalize("NFKD", text.strip()[:_LOOKED_AT]).upper().replace("_", " ")
    return "".join(char for char in letters if not unicodedata.combining(char))


def _alone(plain: str) -> str:
    return " ".join(re.sub(r"[^\w\s]", "", plain).split())


def _first(plain: str) -> str | None:
    found = re.search(r"\w+", plain)
    return found[0] if found else None
