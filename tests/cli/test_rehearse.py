"""`otp-service rehearse`."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.processes import failed, here, ok

NOON = 1_700_000_000


def line(index: int, **changes: Any) -> dict[str, Any]:
    return {
        "t": NOON + index,
        "to": f"+57300555{index * 97:04d}",
        "ip": "192.0.2.7",
        "client": "shop",
        "approved_after": None,
    } | changes


def write(path: Path, lines: list[dict[str, Any]]) -> str:
    path.write_text("".join(f"{json.dumps(each)}\n" for each in lines), "utf-8")
    return str(path)


def test_each_event_has_a_decision_with_reasons_and_the_summary_is_last(tmp_path: Path) -> None:
    lines = [line(index) for index in range(20)] + [line(30, approved_after=12.5)]
    printed = ok("rehearse", write(tmp_path / "events.jsonl", lines), "--json", settings={}).splitlines()
    *decided, summary = map(json.loads, printed)
    assert [(each["t"], each["to"]) for each in decided] == [(each["t"], each["to"]) for each in lines]
    assert [each["decision"] for each in decided] == ["send"] * 5 + ["block"] * 16
    assert decided[0]["reasons"] == []
    assert decided[-1]["reasons"][0] == {"rule": "prefix", "row": "block", "seen": 6.0, "limit": 5.0}
    counts: dict[str, float] = {"asked": 21, "sent": 5, "blocked": 16, "approved_among_blocked": 1}
    counts |= {"money_sent": 0.25, "money_saved": 0.8}
    assert {key: summary[key] for key in counts} == counts
    assert summary["countries"] == {"CO": counts}
    assert summary["rules"]["prefix"] == counts
    assert summary["rules"]["volume"]["blocked"] == 0


def test_approved_messages_are_sent_again_and_again(tmp_path: Path) -> None:
    lines = [line(index * 60, to=f"+57300555{index:04d}", approved_after=20) for index in range(200)]
    printed = ok("rehearse", write(tmp_path / "events.jsonl", lines), "--json", settings={})
    assert json.loads(printed.splitlines()[-1])["sent"] == 200


def test_without_json_it_prints_a_table(tmp_path: Path) -> None:
    printed = ok("rehearse", write(tmp_path / "events.jsonl", [line(0), line(1)]), settings={})
    rows = [row.split() for row in printed.splitlines() if row]
    assert ["all", "2", "2", "0", "0", "0.10", "0.00"] in rows
    assert ["country", "CO", "2", "2", "0", "0", "0.10", "0.00"] in rows


def test_the_policy_has_strictness_rules_and_prices(tmp_path: Path) -> None:
    path = write(tmp_path / "events.jsonl", [line(index) for index in range(20)])
    policy = tmp_path / "policy.toml"
    policy.write_text("[guard]\nmode = 'off'\nstrictness = 0.5\n[guard.prices]\n57 = 0.5", "utf-8")
    summary = json.loads(ok("rehearse", path, "--config", str(policy), "--json", settings={}).splitlines()[-1])
    assert (summary["sent"], summary["money_sent"], summary["money_saved"]) == (10, 5.0, 5.0)
    policy.write_text("[guard.rules]\nprefix = 'off'\naddress = 'record'", "utf-8")
    summary = json.loads(ok("rehearse", path, "--config", str(policy), "--json", settings={}).splitlines()[-1])
    assert summary["rules"]["prefix"]["blocked"] == 0
    assert summary["rules"]["address"]["blocked"] == summary["blocked"] == 12


def test_a_wrong_policy_is_an_error(tmp_path: Path) -> None:
    policy = tmp_path / "policy.toml"
    policy.write_text("[guard]\nstrict = 1", "utf-8")
    (error,) = failed("rehearse", "-", "--config", str(policy), settings={})
    assert "guard.strict" in error


def test_a_hyphen_reads_standard_input() -> None:
    done = here("rehearse", "-", "--json", settings={}, stdin=json.dumps(line(0)))
    assert (done.code, done.err) == (0, "")
    assert [*map(json.loads, done.out.splitlines())][-1]["sent"] == 1


def test_no_events_are_no_error(tmp_path: Path) -> None:
    assert "all" in ok("rehearse", write(tmp_path / "events.jsonl", []), settings={})


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"t": NOON - 1}, "t is earlier than in the line before; sort the lines by t"),
        ({"t": "now"}, "t must be a number of seconds"),
        ({"t": True}, "t must be a number of seconds"),
        ({"t": float("nan")}, "t must be a number of seconds"),
        ({"t": NOON * 1000}, "t must be in seconds, not milliseconds"),
        ({"to": "+571234567"}, "to: This is"),
        ({"to": 573005550000}, "to must be a text"),
        ({"ip": "192.0.2"}, "ip must be an IP address or null"),
        ({"ip": 7}, "ip must be an IP address or null"),
        ({"client": None}, "client must be a text"),
        ({"client": ""}, "client must be a text"),
        ({"approved_after": -1}, "approved_after must be a number of seconds"),
        ({"approved_after": "never"}, "approved_after must be a number of seconds"),
        ({"subject": "ana"}, 'unknown key "subject"'),
    ],
)
def test_a_wrong_line_is_named(wrong: dict[str, Any], message: str, tmp_path: Path) -> None:
    path = write(tmp_path / "events.jsonl", [line(0), line(1) | wrong])
    (error,) = failed("rehearse", path, settings={})
    assert error.startswith(f"error: line 2: {message}")


@pytest.mark.parametrize("key", ["t", "to", "ip", "client", "approved_after"])
def test_a_missing_key_is_named(key: str, tmp_path: Path) -> None:
    path = write(tmp_path / "events.jsonl", [{name: value for name, value in line(0).items() if name != key}])
    assert failed("rehearse", path, settings={}) == [f"error: line 1: {key} is missing"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not JSON in UTF-8"),
        ("{", "not JSON in UTF-8"),
        ("\udcff", "not JSON in UTF-8"),
        ("[]", "not a JSON object"),
        ('{"t": 1, "t": 2}', "a key occurs twice"),
    ],
)
def test_a_line_that_is_no_event_is_named(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(f"{json.dumps(line(0))}\n{text}\n".encode(errors="surrogateescape"))
    assert failed("rehearse", str(path), settings={}) == [f"error: line 2: {message}"]


def test_a_number_is_never_in_an_error(tmp_path: Path) -> None:
    path = write(tmp_path / "events.jsonl", [line(0, to="+5730055512345678")])
    (error,) = failed("rehearse", path, settings={})
    assert "57300" not in error
