"""The words by which people say that they want no messages, want them again, or want to know who writes."""

import re
import unicodedata
from typing import Literal

Kind = Literal["stop", "start", "help"]

_LOOKED_AT = 1000
"""Characters of a text: many times what any of the words has."""
_STOP = frozenset(
    (
        *("STOP", "STOPALL", "STOP ALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT", "REVOKE", "OPTOUT", "OPT OUT"),
        *("ALTO", "PARAR", "BAJA", "CANCELAR", "SALIR", "DETENER"),
        *("PARE", "SAIR", "DESCADASTRAR"),
    )
)
_START = frozenset(
    (
        *("START", "UNSTOP"),
        *("INICIAR", "ALTA", "COMENZAR", "EMPEZAR", "REANUDAR"),
        *("COMECAR", "VOLTAR", "RETOMAR"),
    )
)
_HELP = {"HELP": "en", "INFO": "en", "AYUDA": "es", "AJUDA": "pt"}
_STOP_AT_FIRST = frozenset(("STOP", "STOPALL", "UNSUBSCRIBE"))
"""These count whatever follows: nobody begins a sentence with them who wants more."""


def kind_of(text: str) -> Kind | None:
    """What a text from a person asks for. Case, accents, punctuation, quotes and space do not matter.

    The text is the word and nothing else, except that STOP, STOPALL and UNSUBSCRIBE count as the first word too.
    """
    plain = _plain(text)
    word = _alone(plain)
    if word in _STOP or _first(plain) in _STOP_AT_FIRST:
        return "stop"
    if word in _START:
        return "start"
    return "help" if word in _HELP else None


def help_locale(text: str) -> str | None:
    """The language of a text that asks for help; None of another."""
    return _HELP.get(_alone(_plain(text)))


def _plain(text: str) -> str:
    """Upper case, without accents; `_` is punctuation, unlike in a regular expression's words."""
    letters = unicodedata.normalize("NFKD", text.strip()[:_LOOKED_AT]).upper().replace("_", " ")
    return "".join(char for char in letters if not unicodedata.combining(char))


def _alone(plain: str) -> str:
    return " ".join(re.sub(r"[^\w\s]", "", plain).split())


def _first(plain: str) -> str | None:
    found = re.search(r"\w+", plain)
    return found[0] if found else None
