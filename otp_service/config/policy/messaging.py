"""Policy tables of everything except PINs: notifications, inbound messages, receipts, the campaign platform."""

import re
from typing import Annotated

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictInt,
    ValidationInfo,
    field_validator,
)

from otp_service import texts
from otp_service.config.policy import shipped_texts

_TEMPLATE_NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")
_WORD = re.compile(r"[A-Za-z0-9]{1,20}")
_FIELD_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_FLAGS = re.compile(r"[A-Za-z0-9_.=,;:+~-]{0,64}")


class Table(BaseModel):
    """A table of the policy file. Unknown keys are errors; errors do not repeat values."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


def _checked_locale(locale: str) -> str:
    if not texts.locale_is_wellformed(locale):
        raise ValueError('must be a locale such as "en" or "pt-BR"')
    return texts.locale_key(locale)


def _checked_template_name(name: str) -> str:
    if not _TEMPLATE_NAME.fullmatch(name):
        raise ValueError("the name of a template must be a lower-case letter, then up to 31 of a-z, 0-9 and _")
    return name


def _checked_template(template: str) -> str:
    problem = texts.problem_with_template(texts.unix_lines(template))
    if problem is not None:
        raise ValueError(problem)
    return texts.unix_lines(template)


def _checked_message(text: str) -> str:
    problem = texts.problem_with_message(texts.unix_lines(text))
    if problem is not None:
        raise ValueError(problem)
    return texts.unix_lines(text)


def _checked_word(word: str) -> str:
    if word and not _WORD.fullmatch(word):
        raise ValueError('must be one word of letters and digits, or "" for none')
    return word


def _checked_keyword(keyword: str) -> str:
    if not 1 <= len(keyword) <= 40 or not any(char.isalnum() for char in keyword):
        raise ValueError("must be 1 to 40 characters with a letter or a digit")
    return keyword


def _by_locale(keywords: object) -> object:
    return {"en": keywords} if isinstance(keywords, list | tuple) else keywords


def _checked_field_name(name: str) -> str:
    if not _FIELD_NAME.fullmatch(name):
        raise ValueError("must be 1 to 64 of A-Z, a-z, 0-9, _, . and -")
    return name


def _checked_flags(flags: str) -> str:
    if not _FLAGS.fullmatch(flags) or flags in {".", ".."}:
        raise ValueError("must be at most 64 of A-Z, a-z, 0-9 and _ . = , ; : + ~ -")
    return flags


Locale = Annotated[str, AfterValidator(_checked_locale)]
TemplateName = Annotated[str, AfterValidator(_checked_template_name)]
Template = Annotated[str, AfterValidator(_checked_template)]
Words = Annotated[str, AfterValidator(_checked_message)]
Word = Annotated[str, AfterValidator(_checked_word)]
Keyword = Annotated[str, AfterValidator(_checked_keyword)]
Keywords = Annotated[dict[Locale, tuple[Keyword, ...]], BeforeValidator(_by_locale)]
FieldName = Annotated[str, AfterValidator(_checked_field_name)]


class Notifications(Table):
    """Messages without a PIN. `keep_trying`: seconds in the queue; `templates`: name -> locale -> text."""

    default_locale: Locale = "en"
    keep_trying: StrictInt = Field(default=86400, ge=1, le=7 * 86400)
    templates: dict[TemplateName, dict[Locale, Template]] = Field(default={})

    @field_validator("templates")
    @classmethod
    def _in_the_default_locale(
        cls, templates: dict[str, dict[str, str]], info: ValidationInfo
    ) -> dict[str, dict[str, str]]:
        default = info.data.get("default_locale", "en")
        for name, by_locale in templates.items():
            if texts.find(by_locale, default) is None:
                raise ValueError(f"{name} must have a text for default_locale")
            if len({frozenset(texts.fields(template)) for template in by_locale.values()}) > 1:
                raise ValueError(f"{name} must have the same {{names}} in every locale")
        return templates


class InboundPolicy(Table):
    """Inbound messages. `poll_every`: seconds between two reads of the gateway's list; 0: never.

    `help`: the reply to HELP by locale; without one there is no reply. `stop_confirmation`: the same for STOP.
    `stop_words`, `start_words`, `help_words`: keywords beside the shipped ones, by locale.
    """

    poll_every: StrictInt = Field(default=5, ge=0, le=3600)
    help: dict[Locale, Words] = shipped_texts.HELP
    stop_confirmation: dict[Locale, Words] = {}
    stop_words: Keywords = {}
    start_words: Keywords = {}
    help_words: Keywords = {}


class Receipts(Table):
    """Polling for receipts. `poll_after`: seconds after a send at which the gateway is asked; (): never."""

    poll_after: tuple[Annotated[StrictInt, Field(ge=1, le=7 * 86400)], ...] = Field(
        default=(10, 60, 600, 3600, 21600), max_length=20
    )


class Campaign(Table):
    """How opt-outs over the API are reported to the campaign platform, and the names in its descriptor.

    `stop`, `start`: the platform's keywords; "": not reported.
    """

    stop: Word = "STOP"
    start: Word = "START"
    sender_name: FieldName = "sender_id_id"
    keyword_name: FieldName = "keyword_value"
    number_name: FieldName = "recipient_address"


class GatewayUse(Table):
    """How the gateway is called. `mt_flags`: the flags passed to sendMT; "": none."""

    mt_flags: Annotated[str, AfterValidator(_checked_flags)] = ""
