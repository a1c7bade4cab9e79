"""The settings: read from the environment, `.env` and files, every problem named at once, no secret shown."""

import base64
import os
import re
from collections.abc import Callable, Mapping
from ipaddress import ip_network
from pathlib import Path

import pytest

from otp_service.config import environment
from otp_service.config.policy.policy import Policy
from otp_service.config.settings import DatabaseSettings, ServiceSettings, StorageSettings, load, variables_of
from otp_service.errors import SettingsError
from otp_service.hashing.argon2 import Argon2Cost

KEY = base64.urlsafe_b64encode(bytes(range(32))).decode()
OTHER_KEY = base64.urlsafe_b64encode(bytes(range(100, 132))).decode().rstrip("=")

VALID = {
    "OTP_DATABASE_URL": "sqlite:///otp.db",
    "OTP_SECRET_KEYS": f"k1:{KEY}",
    "OTP_OGANGI_BASE_URL": "https://gateway.example/mmc/",
    "OTP_OGANGI_INSTANCE_ID": "43",
    "OTP_OGANGI_PUBLIC_KEY": "4BFB-4943-9546-9BB8964254F2",
    "OTP_OGANGI_PRIVATE_KEY": "FBF3-4310-909C-C4BBC26F886F",
    "OTP_OGANGI_SENDER": "19893653744",
    "OTP_COUNTRIES": "CO,US",
}
AS_FIELDS = {name.removeprefix("OTP_").lower(): value for name, value in VALID.items()}


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An empty folder to work in and no variable of ours."""
    monkeypatch.chdir(tmp_path)
    for field in variables_of(ServiceSettings):
        for name in (environment.variable(field), f"{environment.variable(field)}_FILE"):
            monkeypatch.delenv(name, raising=False)


def put(monkeypatch: pytest.MonkeyPatch, values: Mapping[str, str]) -> None:
    for name, value in values.items():
        monkeypatch.setenv(name, value)


def problems(monkeypatch: pytest.MonkeyPatch, values: Mapping[str, str]) -> list[str]:
    put(monkeypatch, values)
    with pytest.raises(SettingsError) as caught:
        load(ServiceSettings)
    return caught.value.problems


def problem(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> str:
    found = problems(monkeypatch, {**VALID, name: value})
    assert len(found) == 1
    assert found[0].startswith(name)
    return found[0]


def test_the_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    put(monkeypatch, VALID)
    settings = load(ServiceSettings)
    assert settings.ogangi_base_url == "https://gateway.example/mmc"
    assert settings.allowed_countries == frozenset({"CO", "US"})
    assert settings.keys == (("k1", bytes(range(32))),)
    assert settings.argon2 == Argon2Cost(19456, 2, 1)
    assert (settings.ogangi_timeout, settings.ogangi_pin_placeholder) == (6.0, "{0}")
    assert (settings.log_level, settings.log_format) == ("info", "json")
    assert settings.policy == Policy()


def test_dotenv_is_read_and_the_environment_wins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("OTP_DATABASE_URL=sqlite:///a.db\nOTP_LOG_LEVEL=debug\nOTHER=1\n")
    assert load(DatabaseSettings).database_url == "sqlite:///a.db"
    put(monkeypatch, {**VALID, "OTP_DATABASE_URL": "sqlite:///b.db"})
    settings = load(ServiceSettings)
    assert (settings.database_url, settings.log_level) == ("sqlite:///b.db", "debug")


def test_dotenv_stays_as_it_is_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    put(monkeypatch, {name: value for name, value in VALID.items() if "_KEY" not in name})
    lines = [f"OTP_SECRET_KEYS=k1:{KEY}", "OTP_OGANGI_PUBLIC_KEY='a~b'", 'OTP_OGANGI_PRIVATE_KEY="ab${HOME}c$d"', ""]
    (tmp_path / ".env").write_bytes(b"\xef\xbb\xbf" + "\r\n".join(lines).encode())
    settings = load(ServiceSettings)
    assert settings.keys == (("k1", bytes(range(32))),)
    assert settings.ogangi_public_key.get_secret_value() == "a~b"
    assert settings.ogangi_private_key.get_secret_value() == "ab${HOME}c$d"


def of_bytes(path: Path) -> None:
    path.write_bytes(b"\xff\xfe hush")


def of_64_kib_and_more(path: Path) -> None:
    path.write_bytes(b"hush" * 16_384 + b"\n")


UNREADABLE: list[tuple[Callable[[Path], None], str]] = [
    (of_bytes, "not UTF-8 text"),
    (of_64_kib_and_more, "more than 64 KiB"),
    (Path.mkdir, "not a regular file"),
    (os.mkfifo, "not a regular file"),
]


@pytest.mark.parametrize(("make", "why"), UNREADABLE)
def test_a_dotenv_that_is_none_is_a_problem(tmp_path: Path, make: Callable[[Path], None], why: str) -> None:
    make(tmp_path / ".env")
    with pytest.raises(SettingsError) as caught:
        load(DatabaseSettings)
    assert caught.value.problems == [f".env: cannot read the file: {why}"]


@pytest.mark.parametrize(("make", "why"), UNREADABLE)
def test_a_value_s_file_that_is_none_is_a_problem(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, make: Callable[[Path], None], why: str
) -> None:
    make(tmp_path / "url")
    monkeypatch.setenv("OTP_DATABASE_URL_FILE", "url")
    with pytest.raises(SettingsError) as caught:
        load(DatabaseSettings)
    assert caught.value.problems == [f"OTP_DATABASE_URL_FILE: cannot read the file: {why}"]


@pytest.mark.parametrize(("start", "end"), [(b"", b""), (b"", b"\n"), (b"", b"\r\n"), (b"\xef\xbb\xbf", b"\n")])
def test_a_value_can_be_kept_in_a_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, start: bytes, end: bytes
) -> None:
    (tmp_path / "key").write_bytes(start + f"k1:{KEY}".encode() + end)
    put(monkeypatch, {"OTP_DATABASE_URL": "sqlite:///otp.db", "OTP_SECRET_KEYS_FILE": "key", "OTP_SECRET_KEYS": ""})
    assert load(StorageSettings).keys == (("k1", bytes(range(32))),)


def test_a_value_and_its_file_are_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    found = problems(monkeypatch, {**VALID, "OTP_COUNTRIES_FILE": "countries"})
    assert found == ["OTP_COUNTRIES and OTP_COUNTRIES_FILE are both set; remove one"]


def test_a_file_that_cannot_be_read_is_named_by_its_variable_only(monkeypatch: pytest.MonkeyPatch) -> None:
    values = {name: value for name, value in VALID.items() if name != "OTP_SECRET_KEYS"}
    found = problems(monkeypatch, {**values, "OTP_SECRET_KEYS_FILE": f"k1:{KEY}", "OTP_COUNTRIES": "XX"})
    assert found[0] == "OTP_SECRET_KEYS_FILE: cannot read the file: No such file or directory"
    assert len(found) == 2


def test_config_file_is_a_setting_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "p.toml").write_text("[purposes.signup]\nbrand = 'Acme'")
    put(monkeypatch, {**VALID, "OTP_CONFIG_FILE": "p.toml"})
    assert load(ServiceSettings).policy.purposes["signup"].brand == "Acme"


def test_a_config_file_that_is_missing_is_named_with_its_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    found = problem(monkeypatch, "OTP_CONFIG_FILE", "none.toml")
    assert found == f"OTP_CONFIG_FILE: {tmp_path / 'none.toml'} is not a file"


def test_every_missing_setting_is_named_with_what_to_put_there(monkeypatch: pytest.MonkeyPatch) -> None:
    found = problems(monkeypatch, {"OTP_LOG_FORMAT": ""})
    assert {text.partition(" is missing: ")[0] for text in found} == set(VALID)
    assert "OTP_COUNTRIES is missing: countries that are served: CO,US,VE, or * for all" in found


def test_wrong_settings_and_a_wrong_policy_are_named_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "p.toml").write_text("speed = 1\n[purposes.signup]\npin_length = 5")
    wrong = {"OTP_CONFIG_FILE": "p.toml", "OTP_COUNTRIES": "XX", "OTP_OGANGI_TIMEOUT": "10", "OTP_SECRET_KEYS": ""}
    found = problems(monkeypatch, {**VALID, **wrong})
    assert len(found) == 5
    assert "OTP_CONFIG_FILE: speed: unknown key" in found
    assert "OTP_CONFIG_FILE: purposes.signup.pin_length: must be greater than or equal to 6" in found


def test_secret_keys_keep_their_order_and_padding_is_optional() -> None:
    settings = StorageSettings.of(database_url="sqlite:///x.db", secret_keys=f"new:{OTHER_KEY}, old:{KEY}")
    assert settings.keys == (("new", bytes(range(100, 132))), ("old", bytes(range(32))))


@pytest.mark.parametrize(
    "keys",
    [
        KEY,
        f"k1:{KEY},",
        f"k1:{KEY},k1:{OTHER_KEY}",
        f"k 1:{KEY}",
        f"{'k' * 33}:{KEY}",
        f"k1:{KEY[:-4]}",
        f"k1:{KEY[:5]}",
        "k1:" + base64.urlsafe_b64encode(bytes(33)).decode(),
        "k1:" + base64.b64encode(b"\xfb\xff" * 16).decode(),
        "k1:" + base64.urlsafe_b64encode(b"\x07" * 32).decode(),
        "k1:",
    ],
)
def test_secret_keys_that_are_refused_are_not_shown(monkeypatch: pytest.MonkeyPatch, keys: str) -> None:
    text = problem(monkeypatch, "OTP_SECRET_KEYS", keys)
    assert not any(len(part) > 3 and part in text for part in re.split("[:,]", keys))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OTP_OGANGI_INSTANCE_ID", "4/3"),
        ("OTP_OGANGI_INSTANCE_ID", ".."),
        ("OTP_OGANGI_PUBLIC_KEY", "a%2Fb"),
        ("OTP_OGANGI_PRIVATE_KEY", "a b"),
        ("OTP_OGANGI_SENDER", "19893653744\n"),
        ("OTP_OGANGI_SENDER", "Señor"),
        ("OTP_OGANGI_CARRIER", "a/b"),
        ("OTP_OGANGI_TIMEOUT", "0.05"),
        ("OTP_OGANGI_TIMEOUT", "nan"),
        ("OTP_OGANGI_TIMEOUT", "soon"),
        ("OTP_OGANGI_BASE64_PADDING", "perhaps"),
        ("OTP_OGANGI_PIN_PLACEHOLDER", "PIN"),
        ("OTP_OGANGI_PIN_PLACEHOLDER", "{ }"),
        ("OTP_DATABASE_URL", "postgres://user:hush@host/db"),
        ("OTP_OGANGI_BASE_URL", "http://gateway.example/mmc"),
        ("OTP_COUNTRIES", "CO,XX"),
        ("OTP_COUNTRIES", "CO,*"),
        ("OTP_COUNTRIES", "CO,,US"),
        ("OTP_KEEP_ALIVE", "0"),
        ("OTP_KEEP_ALIVE", "soon"),
        ("OTP_TRUSTED_PROXIES", "0.0.0.0/0"),
        ("OTP_METRICS_TOKEN", "short"),
        ("OTP_METRICS_TOKEN", "with a space in its middle"),
        ("OTP_ARGON2", "m=19456,t=1,p=1"),
        ("OTP_ARGON2", "m=7167,t=20,p=1"),
        ("OTP_ARGON2", "m=19456,t=2,p=2"),
        ("OTP_ARGON2", "m=2097152,t=2,p=1"),
        ("OTP_ARGON2", "strong"),
        ("OTP_LOG_LEVEL", "loud"),
        ("OTP_LOG_FORMAT", "xml"),
        ("OTP_CONFIG_FILE", "none.toml"),
    ],
)
def test_settings_that_are_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    problem(monkeypatch, name, value)


@pytest.mark.parametrize("cost", ["m=47104,t=1,p=1", "m=12288,t=3,p=1", "m=9216,t=4,p=1", "m=7168,t=5,p=1"])
def test_each_of_owasps_costs_is_strong_enough(cost: str) -> None:
    assert not ServiceSettings.of(**AS_FIELDS, argon2=cost).argon2.is_weak


def test_a_weak_cost_has_to_be_allowed() -> None:
    settings = ServiceSettings.of(**AS_FIELDS, argon2="m=8,t=1,p=1", allow_weak_argon2=True)
    assert settings.argon2 == Argon2Cost(8, 1, 1)
    with pytest.raises(SettingsError, match="OTP_ARGON2: must have m from 8"):
        ServiceSettings.of(**AS_FIELDS, argon2="m=7,t=1,p=1", allow_weak_argon2=True)


def test_an_empty_placeholder_means_that_the_gateway_appends(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    put(monkeypatch, {**VALID, "OTP_OGANGI_PIN_PLACEHOLDER": ""})
    assert load(ServiceSettings).ogangi_pin_placeholder == ""
    (tmp_path / "p.toml").write_text("[purposes.login.text]\nde = '{pin} ist Ihre PIN'")
    monkeypatch.setenv("OTP_CONFIG_FILE", "p.toml")
    assert "purposes.login.text.de" in problem(monkeypatch, "OTP_OGANGI_PIN_PLACEHOLDER", "")


def test_lists_and_choices() -> None:
    values = {**AS_FIELDS, "countries": "*", "trusted_proxies": "10.0.0.0/8, ::1", "log_level": "DEBUG"}
    settings = ServiceSettings.of(**values)
    assert settings.allowed_countries is None
    assert settings.trusted_proxies == (ip_network("10.0.0.0/8"), ip_network("::1"))
    assert settings.log_level == "debug"


def test_settings_built_in_code_read_nothing_else(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    put(monkeypatch, {"OTP_LOG_LEVEL": "error"})
    (tmp_path / ".env").write_text("OTP_LOG_FORMAT=console\n")
    policy = Policy.model_validate({"purposes": {"signup": {"attempts": 3}}})
    settings = ServiceSettings.of(**AS_FIELDS, policy=policy)
    assert (settings.log_level, settings.log_format) == ("info", "json")
    assert settings.policy is policy
    with pytest.raises(SettingsError, match="OTP_SPEED: unknown key"):
        ServiceSettings.of(**AS_FIELDS, speed=1)


def test_no_secret_is_in_the_repr() -> None:
    values = {**AS_FIELDS, "database_url": "postgresql://user:hush@host/db", "metrics_token": "m" * 20}
    shown = repr(ServiceSettings.of(**values))
    secrets = ("hush", KEY, VALID["OTP_OGANGI_PUBLIC_KEY"], VALID["OTP_OGANGI_PRIVATE_KEY"], "m" * 20)
    assert not any(secret in shown for secret in secrets)


def test_the_example_names_exactly_the_settings_and_only_lacks_the_required_ones(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    example = (Path(__file__).parent.parent.parent / ".env.example").read_text("utf-8")
    named = re.findall(r"^(OTP_[A-Z0-9_]+)=", example, re.MULTILINE)
    assert sorted(named) == sorted(environment.variable(field) for field in variables_of(ServiceSettings))
    (tmp_path / ".env").write_text(example, "utf-8")
    found = problems(monkeypatch, {})
    assert {text.partition(" is missing: ")[0] for text in found} == set(VALID)
    put(monkeypatch, VALID)
    assert load(ServiceSettings) == ServiceSettings.of(**AS_FIELDS)
