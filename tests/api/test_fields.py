"""The fields of a start: numbers, carriers, locales, addresses, texts."""

import json
from typing import Any

import pytest

from tests.api.support import nothing_counted, post, problem, wrong_fields
from tests.support.service import NO_LIMITS, Service, new_number, serving
from tests.support.vendor import Vendor

UNPRINTABLE = "\0\a\t\n\v\f\r\x1b\x7f\x85\u2028\u2029\u202a\u202e\u2066\u2069\uffff"


@pytest.mark.parametrize(
    "to",
    [
        "", " ", "+", "573001234567", "+57 300 123 4567", "+57.300.123.4567", "+57-300-1234567", "(+57)3001234567",
        "+57\u00a03001234567", "＋573001234567", "+５７３００１２３４５６７", "+٥٧٣٠٠١٢٣٤٥٦٧", "+573001234567;ext=1",
        "+573001234567x5", "+573001234567 ext. 5", "tel:+573001234567", "300 123 4567;phone-context=+57",
        "+573001234567\0", "+573001234567\n", "\n+573001234567", "++573001234567", "00573001234567",
        "+57300ABCDEFG", "+573001234567,", "+57300123456²", "%2B573001234567", "+573001234567\u200b", "-573001234567",
        "+0573001234567", "+57" + "0" * 5000, "+573001234567" * 20,
    ],
)  # fmt: skip
async def test_a_number_in_another_spelling_than_e164_is_refused(shared: Service, to: str) -> None:
    async with nothing_counted(shared):
        answer = await shared.api.try_start(to)
        problem(answer, 422, "invalid_number")
        assert "3001234567" not in answer.text


async def test_a_trunk_zero_is_refused_or_the_same_number(shared: Service) -> None:
    started = await shared.api.start("+447911123456")
    async with nothing_counted(shared):
        answer = await shared.api.try_start("+4407911123456")
        if answer.status_code == 200:
            assert answer.json()["id"] == started["id"]
        else:
            problem(answer, 422, "invalid_number")


@pytest.mark.parametrize(
    "to",
    [
        "+19002345678", "+448431234567", "+870773111632", "+881612345678", "+882161234567", "+18005551234", "+57123",
        "+576012345678", "+390612345678", "+80012345678", "+97912345678", "+112", "+999123456789", "+5731234", "+1",
    ],
)  # fmt: skip
async def test_a_number_that_cannot_take_an_sms_is_refused(shared: Service, to: str) -> None:
    async with nothing_counted(shared):
        problem(await shared.api.try_start(to), 422, "invalid_number")


async def test_a_country_that_is_not_served_is_refused(sqlite_url: str, vendor: Vendor) -> None:
    async with serving(sqlite_url, vendor, countries="CO,US") as service:
        async with nothing_counted(service):
            problem(await service.api.try_start("+447911123456"), 403, "country_not_allowed")
        assert (await service.api.try_start(new_number())).status_code == 201


@pytest.mark.parametrize(
    "purpose", ["", "nothing", "Signup", "signup ", "signup\n", "a\0b", "x" * 2000, "ｓignup", "__proto__"]
)
async def test_a_purpose_that_is_not_configured_is_refused(shared: Service, purpose: str) -> None:
    async with nothing_counted(shared):
        answer = await shared.api.try_start(new_number(), purpose)
        assert wrong_fields(answer) == ["purpose"]


@pytest.mark.parametrize(
    "carrier",
    [
        "", " ", ".", "..", "a/b", "../..", "a?b", "a#b", "a%2Fb", "%2e%2e", "a\\b", "a\r\nX-Y: z", "a\0b", " a", "a ",
        "a\u202eb", "x" * 65, "x" * 2000,
    ],
)  # fmt: skip
async def test_a_carrier_that_is_more_than_one_segment_is_refused(shared: Service, carrier: str) -> None:
    async with nothing_counted(shared):
        assert wrong_fields(await shared.api.try_start(new_number(), carrier=carrier)) == ["carrier"]


@pytest.mark.parametrize("carrier", ["Movistar", "Tigo Une", "Claro & Co; +1=2:@,$'()*!", "Telefónica", "移动", "..."])
async def test_any_other_carrier_is_exactly_one_segment(shared: Service, carrier: str) -> None:
    to = new_number()
    started = await shared.api.start(to, carrier=carrier)
    assert started["delivery"]["status"] == "sent"
    assert len(shared.vendor.messages(to)) == 1


@pytest.mark.parametrize(
    "locale",
    [
        "",
        "e",
        "en-",
        "es/CO",
        "../../etc",
        "es\n",
        "es\0",
        "ｅｓ",
        "en_US.UTF-8",
        "{pin}",
        "en-" * 12,
        "x" * 2000,
        "es-CO,es;q=0.9",
    ],
)
async def test_a_malformed_locale_is_refused(shared: Service, locale: str) -> None:
    async with nothing_counted(shared):
        assert wrong_fields(await shared.api.try_start(new_number(), locale=locale)) == ["locale"]


async def test_an_unknown_locale_falls_back_and_a_known_one_is_used(shared: Service) -> None:
    texts = {}
    for locale in (
        None,
        "en",
        "es",
        "es-CO",
        "es_MX",
        "ES",
        "xx",
        "tlh-Latn-001",
        "de-DE-u-co-phonebk",
        "sr-Latn-RS",
        "es-CO-u-nu-latn",
    ):
        to = new_number()
        await shared.api.start(to, **({"locale": locale} if locale else {}))
        texts[locale] = shared.vendor.messages(to)[0]["text"].replace(shared.pin(to), "")
    assert (
        len({texts[locale] for locale in (None, "en", "xx", "tlh-Latn-001", "de-DE-u-co-phonebk", "sr-Latn-RS")}) == 1
    )
    assert len({texts[locale] for locale in ("es", "es-CO", "es_MX", "ES", "es-CO-u-nu-latn")}) == 1
    assert texts["en"] != texts["es"]


@pytest.mark.parametrize(
    "user_ip",
    [
        "", " ", "localhost", "192.0.2.1:80", "192.0.2.0/24", "192.0.2", "192.0.2.256", "192.0.2.01", "0xC0000201",
        "3221225985", " 192.0.2.1", "192.0.2.1\n", "192.0.2.1\0", "192.0.2.1, 192.0.2.2", "１９２.0.2.1",
        "[2001:db8::1]", "2001:db8::1%eth0", "fe80::1%1", "2001:db8::/64", "2001:db8:::1", "2001:db8::1::",
        "unknown", "x" * 2000,
    ],
)  # fmt: skip
async def test_what_is_no_address_of_a_person_is_refused(shared: Service, user_ip: str) -> None:
    async with nothing_counted(shared):
        assert wrong_fields(await shared.api.try_start(new_number(), user_ip=user_ip)) == ["user_ip"]


@pytest.mark.parametrize(
    "addresses",
    [
        ["192.0.2.1", "::ffff:192.0.2.1", "::ffff:c000:201"],
        ["2001:db8::1", "2001:db8:0:0:ffff::1", "2001:0DB8::FFFF"],
    ],
)
async def test_one_person_has_one_counter_however_the_address_is_written(
    sqlite_url: str, vendor: Vendor, addresses: list[str]
) -> None:
    limits = {**NO_LIMITS, "sends_per_user_ip": "2/hour"}
    async with serving(sqlite_url, vendor, {"limits": limits}) as service:
        for address in addresses[:2]:
            await service.api.start(user_ip=address)
        body = problem(await service.api.try_start(new_number(), user_ip=addresses[2]), 429, "rate_limited")
        assert body["limit"] == "sends_per_user_ip"
        await service.api.start(user_ip="192.0.2.2")
        await service.api.start(user_ip="2001:db8:0:1::1")


async def test_forwarding_headers_make_no_counter_and_change_none(sqlite_url: str, vendor: Vendor) -> None:
    limits = {**NO_LIMITS, "sends_per_user_ip": "2/hour"}
    names = ("X-Forwarded-For", "X-Real-IP", "Forwarded", "X-Client-IP", "True-Client-IP", "CF-Connecting-IP")
    async with serving(sqlite_url, vendor, {"limits": limits}) as service:

        async def start(last: int, **fields: str) -> Any:
            forged = {name: f"for=203.0.113.{last}" if name == "Forwarded" else f"203.0.113.{last}" for name in names}
            body = json.dumps({"to": new_number(), "purpose": "signup", **fields})
            return await post(service, "/v1/verifications", body, {"Content-Type": "application/json", **forged})

        for last in range(5):
            assert (await start(1)).status_code == 201, last
        for last in range(2):
            assert (await start(last, user_ip="192.0.2.1")).status_code == 201
        problem(await start(9, user_ip="192.0.2.1"), 429, "rate_limited")


@pytest.mark.parametrize("field", ["session", "subject", "reference"])
async def test_texts_with_characters_that_are_not_seen_are_refused(shared: Service, field: str) -> None:
    async with nothing_counted(shared):
        for char in UNPRINTABLE:
            for text in (char, f"a{char}b", f"a{char}"):
                assert wrong_fields(await shared.api.try_start(new_number(), **{field: text})) == [field], ascii(text)
        for text in ("", "x" * 257, "x" * 2000):
            assert wrong_fields(await shared.api.try_start(new_number(), **{field: text})) == [field]


@pytest.mark.parametrize(
    "text",
    [
        "user-1",
        "x" * 256,
        "Ñandú 🚀",
        "{pin} {0} %s ${x}",
        "@evil #1",
        "<b>&amp;",
        "'; DROP TABLE numbers; --",
        "عمر",
        "می\u200cخواهم",
        "क्\u200dष",
        "\u200fשלום",
        "👨\u200d👩\u200d👧",
        "\U0001fae9",
    ],
)
async def test_any_other_text_comes_back_as_it_was_and_reaches_no_message(shared: Service, text: str) -> None:
    to = new_number()
    started = await shared.api.start(to, subject=text, reference=text, session=text)
    read = await shared.api.read(started["id"])
    assert (read["subject"], read["reference"]) == (text, text)
    assert text not in shared.vendor.messages(to)[0]["text"]
    assert await shared.api.check(started["id"], shared.pin(to), session=text) == "approved"


async def test_null_is_the_same_as_a_field_that_is_not_there(shared: Service) -> None:
    optional: dict[str, Any] = dict.fromkeys(("locale", "carrier", "user_ip", "session", "subject", "reference"))
    to = new_number()
    started = await shared.api.start(to, **optional)
    assert (await shared.api.start(to))["id"] == started["id"]
