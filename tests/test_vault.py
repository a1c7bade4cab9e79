"""What is derived from the secret keys, and that it cannot be read or made without them."""

from otp_service.config.secret_keys import parse_secret_keys
from otp_service.vault import Vault, generate_key_entry

OLD, NEW = generate_key_entry(), generate_key_entry()
OLD_ID = OLD.partition(":")[0]


def vault(*entries: str) -> Vault:
    return Vault(parse_secret_keys(",".join(entries)))


def test_a_generated_entry_is_one_that_the_settings_take() -> None:
    ((key_id, secret),) = parse_secret_keys(OLD)
    assert key_id == OLD_ID
    assert len(secret) == 32
    assert OLD != NEW


def test_the_first_key_writes_and_all_read() -> None:
    sealed = vault(OLD).seal("number", b"+573001234567")
    assert sealed.startswith(f"{OLD_ID}:")
    assert vault(NEW, OLD).open("number", sealed) == b"+573001234567"
    assert vault(NEW).open("number", sealed) is None
    assert vault(NEW, OLD).seal("number", b"x").startswith(NEW.partition(":")[0])


def test_a_sealed_value_belongs_to_its_use_and_is_never_the_same_twice() -> None:
    keys = vault(OLD)
    assert keys.seal("number", b"x") != keys.seal("number", b"x")
    assert keys.open("answer", keys.seal("number", b"x")) is None
    assert keys.open("number", None) is None


def test_a_sealed_value_that_was_changed_does_not_open() -> None:
    keys = vault(OLD)
    key_id, _, encoded = keys.seal("number", b"x").partition(":")
    changed = ("B" if encoded[20] == "A" else "A").join((encoded[:20], encoded[21:]))
    assert keys.open("number", f"{key_id}:{changed}") is None


def test_digests_are_equal_for_equal_numbers_and_keys_alone() -> None:
    assert vault(OLD).digests("+573001234567") == vault(OLD).digests("+573001234567")
    assert vault(OLD).digests("+573001234567") != vault(OLD).digests("+573001234568")
    assert list(vault(NEW, OLD).digests("+573001234567").values())[1:] == list(
        vault(OLD).digests("+573001234567").values()
    )


def test_a_pepper_belongs_to_its_verification() -> None:
    keys = vault(OLD)
    assert keys.pin_mac(OLD_ID, "ver_1", "123456") != keys.pin_mac(OLD_ID, "ver_2", "123456")
    assert keys.pin_mac(OLD_ID, "ver_1", "123456") != keys.pin_mac(OLD_ID, "ver_1", "123457")
    assert keys.pin_mac("gone", "ver_1", "123456") is None


def test_a_fingerprint_is_checked_under_the_key_that_made_it() -> None:
    recorded = vault(OLD).fingerprint(b"request")
    assert recorded is not None
    assert vault(NEW, OLD).fingerprint_matches(recorded, b"request")
    assert not vault(NEW, OLD).fingerprint_matches(recorded, b"other")
    assert not vault(NEW).fingerprint_matches(recorded, b"request")
