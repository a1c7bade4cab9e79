"""The settings: `OTP_...` in the environment and `.env`. Each class has what a group of commands needs."""

import re
from collections.abc import Callable, Container
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_core import ErrorDetails, PydanticCustomError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from otp_service import texts
from otp_service.config import environment
from otp_service.config.addresses import (
    Network,
    checked_base_url,
    checked_database_url,
    checked_public_url,
    parse_networks,
)
from otp_service.config.countries import EVERYWHERE, checked_countries
from otp_service.config.policy.policy import Policy, load_policy
from otp_service.config.secret_keys import parse_secret_keys
from otp_service.config.sentences import reason
from otp_service.errors import SettingsError
from otp_service.hashing.argon2 import Argon2Cost, parse_argon2_cost
from otp_service.phone import check_carrier

_SEGMENT = re.compile(r"[A-Za-z0-9_.+~-]{1,64}")
_TOKEN = re.compile(r"[A-Za-z0-9_-]{16,128}")
_PRINTABLE = re.compile(r"[!-~]+")
_MAY_BE_EMPTY = frozenset({"ogangi_pin_placeholder"})


def _checked_segment(text: str) -> str:
    if not _SEGMENT.fullmatch(text) or text in {".", ".."}:
        raise ValueError("must be 1 to 64 of A-Z, a-z, 0-9, _, -, +, . and ~")
    return text


def _secret(check: Callable[[str], object]) -> AfterValidator:
    def checked(secret: SecretStr) -> SecretStr:
        check(secret.get_secret_value())
        return secret

    return AfterValidator(checked)


def _checked_private_key(text: str) -> None:
    if not _PRINTABLE.fullmatch(text) or len(text) > 512:
        raise ValueError("must be 1 to 512 printable ASCII characters without spaces")


def _checked_metrics_token(text: str) -> None:
    if not _PRINTABLE.fullmatch(text) or not 16 <= len(text) <= 512:
        raise ValueError("must be 16 to 512 printable ASCII characters without spaces")


def _checked_callback_token(text: str) -> None:
    if not _TOKEN.fullmatch(text):
        raise ValueError("must be 16 to 128 of A-Z, a-z, 0-9, _ and -, for example from `openssl rand -hex 16`")


def _checked_file(path: Path) -> Path:
    if not path.is_file():
        raise ValueError(f"{path.absolute()} is not a file")
    return path


def _parsed(parse: Callable[[str], object]) -> BeforeValidator:
    return BeforeValidator(lambda value: parse(value) if isinstance(value, str) else value)


_AnyCase = BeforeValidator(lambda value: value.lower() if isinstance(value, str) else value)
Segment = Annotated[str, AfterValidator(_checked_segment)]


class _Settings(BaseSettings):
    model_config = SettingsConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, env_prefix="OTP_")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - the library's signature
        init_settings: PydanticBaseSettingsSource,
        *_: PydanticBaseSettingsSource,
        **__: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        # Settings built in code must not depend on the machine: only `load` reads the environment.
        return (init_settings,)

    @classmethod
    def of(cls, **values: Any) -> Self:
        """Return the settings with these values. Raises SettingsError with every problem at once."""
        try:
            return cls(**values)
        except ValidationError as error:
            raise SettingsError(_problems(cls, error)) from None


class DatabaseSettings(_Settings):
    """The settings of `migrate`."""

    database_url: Annotated[str, AfterValidator(checked_database_url)] = Field(
        repr=False, description="sqlite:///path or postgresql://user@host/database"
    )


class StorageSettings(DatabaseSettings):
    """The settings of commands that read and write the service's data."""

    secret_keys: Annotated[SecretStr, _secret(parse_secret_keys)] = Field(
        description="id:base64url(32 bytes)[,id:...], the first writes; `otp-service secrets generate` makes one"
    )
    config_file: Annotated[Path, AfterValidator(_checked_file)] | None = Field(
        default=None, description="the TOML file of purposes and limits"
    )
    policy: Policy = Field(default=Policy(), validate_default=True)

    @field_validator("policy", mode="before")
    @classmethod
    def _of_the_file(cls, policy: object, info: ValidationInfo) -> object:
        path = info.data.get("config_file")
        if path is None:
            return policy
        try:
            return load_policy(path)
        except SettingsError as error:
            raise PydanticCustomError("policy", "invalid", {"problems": error.problems}) from None

    @property
    def keys(self) -> tuple[tuple[str, bytes], ...]:
        """Return (id, 32 bytes) of every secret key; the first one writes."""
        return parse_secret_keys(self.secret_keys.get_secret_value())


class ServiceSettings(StorageSettings):
    """The settings of `serve`."""

    ogangi_base_url: Annotated[str, AfterValidator(checked_base_url)] = Field(
        description="the gateway's address, as https://host/context"
    )
    ogangi_instance_id: Segment = Field(description="the instance id of the gateway account")
    ogangi_public_key: Annotated[SecretStr, _secret(_checked_segment)] = Field(
        description="the public key of the gateway account"
    )
    ogangi_private_key: Annotated[SecretStr, _secret(_checked_private_key)] = Field(
        description="the private key of the gateway account"
    )
    ogangi_sender: Segment = Field(description="the short or long code that messages come from")
    ogangi_carrier: Annotated[str, AfterValidator(check_carrier)] | None = Field(
        default=None, description="the carrier if no other is known"
    )
    ogangi_timeout: float = Field(default=6.0, ge=0.1, le=9, description="total seconds of one gateway call")
    ogangi_base64_padding: bool = Field(default=False, description="pads Base64 with = in gateway URLs")
    ogangi_pin_placeholder: str = Field(
        default="{0}", max_length=32, description="what the gateway replaces with its PIN; empty: it appends the PIN"
    )
    ogangi_callback_token: Annotated[SecretStr, _secret(_checked_callback_token)] | None = Field(
        default=None, description="the secret part of the callback address"
    )
    countries: Annotated[str, AfterValidator(checked_countries)] = Field(
        description="countries that are served: CO,US,VE, or * for all"
    )
    public_url: Annotated[str, AfterValidator(checked_public_url)] | None = Field(
        default=None, description="the address of this service for applications; the issuer of proofs"
    )
    trusted_proxies: Annotated[tuple[Network, ...], _parsed(parse_networks)] = Field(
        default=(), description="addresses or networks whose forwarding headers are trusted"
    )
    webhook_networks: Annotated[tuple[Network, ...], _parsed(parse_networks)] = Field(
        default=(), description="private networks where webhooks may go, also over http://"
    )
    keep_alive: int = Field(default=75, ge=1, le=3600, description="seconds that an idle connection stays open")
    metrics_token: Annotated[SecretStr, _secret(_checked_metrics_token)] | None = Field(
        default=None, description="the bearer token of /metrics; loopback needs none"
    )
    allow_weak_argon2: bool = Field(default=False, description="for tests and benchmarks only")
    argon2: Annotated[Argon2Cost, _parsed(parse_argon2_cost)] = Field(
        default=Argon2Cost(19456, 2, 1), description="the cost of one hash: KiB, iterations, lanes"
    )
    log_level: Annotated[Literal["debug", "info", "warning", "error"], _AnyCase] = Field(
        default="info", description="debug, info, warning or error"
    )
    log_format: Annotated[Literal["json", "console"], _AnyCase] = Field(default="json", description="json or console")

    @field_validator("ogangi_pin_placeholder")
    @classmethod
    def _names_one_place(cls, placeholder: str, info: ValidationInfo) -> str:
        if placeholder and not _PRINTABLE.fullmatch(placeholder):
            raise ValueError("must be printable ASCII characters without spaces")
        for purpose in info.data.get("policy", Policy()).purposes.values():
            for locale, template in purpose.text.items() if "pin" in purpose.routes else ():
                if not texts.placeholder_is_clear(placeholder, template, purpose.brand):
                    where = f"purposes.{purpose.name}.text.{locale}"
                    raise ValueError(
                        f"must not occur in {where} or its brand, except at {{pin}}"
                        if placeholder
                        else f"must not be empty unless {{pin}} comes last in {where}: the gateway appends the PIN"
                    )
        return placeholder

    @field_validator("argon2")
    @classmethod
    def _is_strong(cls, cost: Argon2Cost, info: ValidationInfo) -> Argon2Cost:
        if cost.is_weak and not info.data.get("allow_weak_argon2"):
            raise ValueError(
                "must be at least as strong as OWASP's settings, such as m=19456,t=2,p=1; "
                "OTP_ALLOW_WEAK_ARGON2=1 is for tests"
            )
        return cost

    @property
    def allowed_countries(self) -> frozenset[str] | None:
        """Return the regions that are served; None: all."""
        return None if self.countries == EVERYWHERE else frozenset(self.countries.split(","))


SettingsT = TypeVar("SettingsT", bound=DatabaseSettings)


def load(cls: type[SettingsT]) -> SettingsT:
    """Return the settings of the environment and `.env`. Raises SettingsError with every problem at once."""
    values, unread = environment.read(variables_of(cls))
    given: dict[str, Any] = {field: value for field, value in values.items() if value or field in _MAY_BE_EMPTY}
    try:
        settings = cls(**given)
    except ValidationError as error:
        raise SettingsError([*unread.values(), *_problems(cls, error, known=unread)]) from None
    if unread:
        raise SettingsError(list(unread.values()))
    return settings


def variables_of(cls: type[BaseSettings]) -> list[str]:
    """Return the fields of `cls` that are variables: all but the policy, which is read from the config file."""
    return [field for field in cls.model_fields if field != "policy"]


def _problems(cls: type[BaseSettings], error: ValidationError, known: Container[object] = ()) -> list[str]:
    details = error.errors(include_url=False, include_input=False)
    return [sentence for each in details if each["loc"][0] not in known for sentence in _sentences(cls, each)]


def _sentences(cls: type[BaseSettings], details: ErrorDetails) -> list[str]:
    field = str(details["loc"][0])
    if field == "policy":
        problems = details.get("ctx", {}).get("problems", [reason(details)])
        return [f"{environment.variable('config_file')}: {problem}" for problem in problems]
    if details["type"] == "missing":
        return [f"{environment.variable(field)} is missing: {cls.model_fields[field].description}"]
    return [f"{environment.variable(field)}: {reason(details)}"]
