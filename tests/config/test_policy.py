"""The policy file: what is shipped, what may be changed, and every mistake named at once."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otp_service.config.policy import shipped_texts
from otp_service.config.policy.policy import Policy, Purpose, load_policy
from otp_service.config.policy.rates import Failures, Rate, parse_rates
from otp_service.errors import SettingsError


def written(folder: Path, toml: str) -> Path:
    path = folder / "policy.toml"
    path.write_text(toml, "utf-8")
    return path


def problems(folder: Path, toml: str) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load_policy(written(folder, toml))
    return caught.value.problems


def test_without_a_file_it_is_what_is_shipped() -> None:
    policy = load_policy(None)
    assert policy == Policy()
    assert list(policy.purposes) == ["signup", "login", "password_reset"]
    assert all(name == purpose.name for name, purpose in policy.purposes.items())
    assert policy.purposes["login"].text == shipped_texts.SHIPPED["login"]
    assert policy.purposes["login"].routes == ("pin", "sms", "mt")
    assert policy.limits.sends_per_number == (Rate(5, 3600), Rate(10, 86400))


def test_looser_limits_allow_so_many_times_what_the_shipped_ones_do() -> None:
    limits = Policy().looser(10).limits
    assert limits.sends_per_number == (Rate(50, 3600), Rate(100, 86400))
    assert limits.pause_per_number == 3
    assert limits.sends_per_user_ip == (Rate(250, 300),)
    assert limits.sends_per_client == ()
    assert (limits.inbound_per_number, limits.inbound_per_client) == ((Rate(100, 600),), (Rate(30_000, 600),))
    assert limits.failures_per_number == limits.failures_per_subject == Failures(free=100, lock_after=1000)


def test_a_file_overrides_key_by_key_and_texts_by_locale(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        """
        [purposes.signup]
        pin_length = 8
        [purposes.signup.text]
        EN = "{pin} {brand}"
        [limits]
        sends_per_client = "100/minute"
        failures_per_number = {free = 5}
        [retention]
        hash = 0
        """,
    )
    policy = load_policy(path)
    signup = policy.purposes["signup"]
    assert (signup.pin_length, signup.attempts) == (8, 5)
    assert signup.text == {**shipped_texts.SHIPPED["signup"], "en": "{pin} {brand}"}
    assert policy.purposes["login"] == Policy().purposes["login"]
    assert policy.limits.sends_per_client == (Rate(100, 60),)
    assert policy.limits.failures_per_number == Failures(free=5)
    assert (policy.retention.hash, policy.retention.number) == (0, 86400)


def test_a_new_purpose_starts_from_the_generic_texts(tmp_path: Path) -> None:
    policy = load_policy(written(tmp_path, "[purposes.payment]\nbrand = 'Acme'"))
    assert policy.purposes["payment"] == Purpose(name="payment", brand="Acme", text=shipped_texts.GENERIC)
    assert policy.purposes.keys() == {*shipped_texts.SHIPPED, "payment"}


def test_every_problem_is_named_at_once(tmp_path: Path) -> None:
    found = problems(
        tmp_path,
        """
        speed = 1
        [purposes.signup]
        name = "signup"
        pin_length = 5
        lifetime = 601
        attempts = true
        sends = "3"
        resend_after = [-1]
        live_pins = 4
        routes = []
        colour = "red"
        [purposes.signup.text]
        en = "no place for it"
        [purposes.Bad]
        [purposes.login]
        default_locale = "fr"
        [limits]
        pause_per_number = -1
        sends_per_number = "often"
        sends_per_client = [{burst = 1, period = 1}]
        failures_per_number = {free = -1}
        [carriers]
        "+57" = "Claro"
        "57" = "a/b"
        [retention]
        audit = -1
        """,
    )
    assert {problem.partition(": ")[0].partition(" ")[0] for problem in found} == {
        "speed",
        "purposes.signup.name",
        "purposes.signup.pin_length",
        "purposes.signup.lifetime",
        "purposes.signup.attempts",
        "purposes.signup.sends",
        "purposes.signup.resend_after.0",
        "purposes.signup.live_pins",
        "purposes.signup.routes",
        "purposes.signup.colour",
        "purposes.signup.text.en",
        "purposes.Bad",
        "purposes.login.text",
        "limits.pause_per_number",
        "limits.sends_per_number",
        "limits.sends_per_client",
        "limits.failures_per_number.free",
        "carriers.+57",
        "carriers.57",
        "retention.audit",
    }
    assert "purposes.signup.colour: unknown key" in found


def test_a_proof_lives_long_enough_to_be_redeemed(tmp_path: Path) -> None:
    found = problems(tmp_path, "purposes.signup.proof_lifetime = 29")
    assert found == ["purposes.signup.proof_lifetime: must be greater than or equal to 30"]
    load_policy(written(tmp_path, "purposes.signup.proof_lifetime = 30"))


@pytest.mark.parametrize(
    "toml",
    [
        "purposes = 1",
        "purposes = []",
        "purposes.signup = 1",
        "purposes.signup.text = 1",
        "purposes.signup.text.en = 1",
        "limits = 1",
        "limits.failures_per_number = 0",
        "carriers = 1",
        "retention = 1979-05-27",
    ],
)
def test_a_wrong_shape_is_a_problem_and_not_a_crash(tmp_path: Path, toml: str) -> None:
    assert problems(tmp_path, toml)


def test_what_is_no_toml_or_no_file_is_said_clearly(tmp_path: Path) -> None:
    assert problems(tmp_path, "[purposes")[0].startswith("must be TOML: ")
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(SettingsError, match="cannot read the file"):
            load_policy(path)
    (tmp_path / "latin").write_bytes(b"# \xf1")
    with pytest.raises(SettingsError, match="UTF-8"):
        load_policy(tmp_path / "latin")


@pytest.mark.parametrize(
    "brand", ["", " Acme", "B" * 41, "{pin}", "a}b", "a\nb", "a\u202eb", "a\u2067b", "a\u2028b", "a\x00b"]
)
def test_a_brand_that_could_speak_for_us_is_refused(brand: str) -> None:
    with pytest.raises(ValueError, match="brand"):
        Purpose(name="pay", brand=brand)


@pytest.mark.parametrize(
    "text",
    [
        "no pin",
        "{pin} {pin}",
        "{pin} {0}",
        "{pin} {",
        "{pin!r}",
        "{{pin}}",
        "{pin} {brand.__class__}",
        "{pin}\r",
        "{pin}\u202e",
        "{pin}\u2028",
        "{pin}\n@evil.example #1",
        "{pin}\n  @evil.example #1",
        "Hello\n@evil.example #{pin}",
        "{pin}" + "x" * 311,
    ],
)
def test_a_text_that_would_not_stay_as_it_is_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="text"):
        Purpose(name="pay", pin_length=10, text={"en": text})


@pytest.mark.parametrize(
    ("brand", "text"),
    [
        ("می\u200cخواهم", "کد شما: {pin}"),
        ("क्\u200dष", "{brand} \u200f{pin}"),
        ("👨\u200d👩\u200d👧", "{brand}: {pin}"),
        ("\U0001fae9", "{brand}\n@home: {pin}"),  # newer than the Unicode of Python 3.11
        ("@home", "{brand}: {pin}"),
    ],
)
def test_joiners_marks_and_new_emoji_may_stand_in_texts(brand: str, text: str) -> None:
    assert Purpose(name="pay", brand=brand, text={"en": text}).text == {"en": text}


def test_a_brand_cannot_complete_the_line_that_browsers_take_a_pin_from() -> None:
    with pytest.raises(ValueError, match="WebOTP"):
        Purpose(name="pay", brand="@evil.example", text={"en": "{brand} #{pin}"})


def test_crlf_in_texts_is_lf() -> None:
    assert Purpose(name="pay", text={"en": "Hello\r\n{pin}"}).text == {"en": "Hello\n{pin}"}
    template = {"notifications": {"templates": {"t": {"en": "a\r\nb"}}}, "inbound": {"help": {"en": "c\r\nd"}}}
    policy = Policy.model_validate(template)
    assert policy.notifications.templates["t"]["en"] == "a\nb"
    assert policy.inbound.help["en"] == "c\nd"


def test_a_text_is_measured_at_its_longest() -> None:
    text = {"en": "{pin}{minutes}{brand}" + "x" * 268}
    assert Purpose(name="pay", pin_length=10, brand="B" * 40, text=text).text == text
    with pytest.raises(ValueError, match="at most 320"):
        Purpose(name="pay", pin_length=10, brand="B" * 40, text={"en": text["en"] + "x"})


def test_a_locale_is_written_once() -> None:
    with pytest.raises(ValueError, match="each locale once"):
        Purpose(name="pay", text={"en": "{pin}", "pt-BR": "{pin}", "pt_br": "{pin}"})


@pytest.mark.parametrize("name", ["", "Signup", "1a", "a-b", "a" * 33, "a\n", "ñ"])
def test_purpose_names(name: str) -> None:
    with pytest.raises(ValueError, match="name"):
        Policy.model_validate({"purposes": {name: {}}})


def test_the_last_wait_between_sends_counts_on() -> None:
    purpose = Purpose(name="pay", sends=5, resend_after=(30, 60))
    assert [purpose.wait_after_send(number) for number in (1, 2, 3, 4)] == [30, 60, 60, 60]


def test_no_wait_between_sends_is_said_with_a_zero() -> None:
    assert Purpose(name="pay", resend_after=(0,)).wait_after_send(1) == 0
    assert Purpose(name="pay", sends=1, resend_after=()).wait_after_send(1) == 0
    with pytest.raises(ValueError, match="at least one wait"):
        Purpose(name="pay", sends=2, resend_after=())


@pytest.mark.parametrize(
    ("text", "rates"),
    [
        ("", ()),
        ("0", ()),
        ("5/hour", (Rate(5, 3600),)),
        ("5/hour; 10/day", (Rate(5, 3600), Rate(10, 86400))),
        ("25/5 minutes", (Rate(25, 300),)),
        ("1/1 second;2 / 30 seconds", (Rate(1, 1), Rate(2, 30))),
    ],
)
def test_rates(text: str, rates: tuple[Rate, ...]) -> None:
    assert parse_rates(text) == rates


@pytest.mark.parametrize(
    "text", ["5", "5/", "0/hour", "5/0 hours", "-1/hour", "1.5/hour", "5/week", "5/hour;", "٥/hour", "1/367 days", "x"]
)
def test_what_is_no_rate(text: str) -> None:
    with pytest.raises(ValueError, match="turn"):
        parse_rates(text)


def test_zero_turns_a_rate_off_and_an_interval_is_its_share_of_the_period() -> None:
    assert Policy.model_validate({"limits": {"sends_per_number": 0}}).limits.sends_per_number == ()
    assert Rate(5, 3600).interval == 720


@pytest.mark.parametrize(
    ("count", "wait"),
    [(0, 0), (9, 0), (10, 30), (11, 60), (16, 1920), (17, 3600), (99, 3600), (100, 2592000), (10**9, 2592000)],
)
def test_waits_double_up_to_the_longest_and_then_lock(count: int, wait: int) -> None:
    assert Failures().wait_after(count) == wait


@given(
    st.builds(
        Failures,
        free=st.integers(1, 1000),
        first_wait=st.integers(1, 100),
        longest_wait=st.integers(100, 5000),
        lock_after=st.integers(1001, 10000),
        lock_for=st.integers(5000, 10**6),
    )
)
def test_waits_never_shrink(failures: Failures) -> None:
    waits = [failures.wait_after(count) for count in range(failures.lock_after + 2)]
    assert waits == sorted(waits)
    assert waits[failures.free] > 0


@pytest.mark.parametrize(
    "table",
    [{"free": -1}, {"first_wait": -1}, {"longest_wait": 30 * 86400 + 1}, {"lock_for": 0}, {"lock_after": 0}],
)
def test_waits_that_make_no_sense_are_refused(table: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="should"):
        Failures.model_validate(table)


@pytest.mark.parametrize("off", ['""', "0"])
def test_a_limit_is_turned_off_by_nothing_or_zero(tmp_path: Path, off: str) -> None:
    names = ("sends_per_number", "sends_per_user_ip", "sends_per_client", "pause_per_number")
    limits = load_policy(written(tmp_path, "\n".join(["[limits]", *(f"{name} = {off}" for name in names)]))).limits
    assert not any(getattr(limits, name) for name in names)


def test_the_same_rate_written_twice_is_one_limit() -> None:
    assert parse_rates("5/hour; 5/60 minutes") == parse_rates("5/hour")


def test_the_longest_prefix_names_the_carrier() -> None:
    policy = Policy(carriers={"57": "Any", "5730": "Tigo", "5731": "Claro"})
    assert policy.carrier_for("+573001234567") == "Tigo"
    assert policy.carrier_for("+573201234567") == "Any"
    assert policy.carrier_for("+13056708084") is None


def test_every_problem_of_test_numbers_is_named_and_no_number_or_pin(tmp_path: Path) -> None:
    far = datetime.now(UTC).date() + timedelta(days=181)
    found = problems(
        tmp_path,
        f"""
        [test_numbers]
        "+15005550001" = {{pin = "424242"}}
        "+15005550002" = {{pin = "424242", until = {far}}}
        "+15005550003" = {{pin = 424242, until = "2027-01-31"}}
        "5005550004" = {{pin = "424242", until = 2026-11-30}}
        """,
    )
    assert [line.partition(": ")[0] for line in found] == [
        "test_numbers.+1******0001.until",
        "test_numbers.+1******0002.until",
        "test_numbers.+1******0003.pin",
        "test_numbers.+1******0003.until",
        "test_numbers.5005550004",
    ]
    assert found[0].endswith(": missing")
    assert "180 days" in found[1]
    assert "424242" not in "".join(found[3:])


@pytest.mark.parametrize("number", ["+22997123456", "+4407400123456", "+541123456789"])
def test_a_test_number_has_one_form_or_it_would_be_somebody_elses_number(tmp_path: Path, number: str) -> None:
    tomorrow = datetime.now(UTC).date() + timedelta(days=1)
    (problem,) = problems(tmp_path, f'[test_numbers]\n"{number}" = {{pin = "424242", until = {tomorrow}}}\n')
    assert "usual form" in problem
    assert number not in problem


def test_the_pin_of_a_test_number_has_the_length_of_a_purpose(tmp_path: Path) -> None:
    last = datetime.now(UTC).date() + timedelta(days=180)
    file = f'[test_numbers]\n"+15005550006" = {{pin = "4242424", until = {last}}}\n'
    assert "6 digits" in problems(tmp_path, file)[0]
    policy = load_policy(written(tmp_path, file + "[purposes.login]\npin_length = 7\n"))
    assert policy.test_numbers["+15005550006"].until == last
    assert "4242424" not in repr(policy)
