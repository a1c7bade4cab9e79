"""The page on which a person reads the messages."""

import hashlib
import json
import re
import shlex
from base64 import b64encode
from html import unescape

from tests.simulator.conftest import Caller, base64


async def test_without_messages_it_says_how_to_send_the_first(caller: Caller) -> None:
    page = await caller.http.get("/")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "No messages yet" in page.text
    assert "OTP_OGANGI_BASE_URL=http://simulator/mmc" in page.text


async def test_a_message_is_shown_escaped(caller: Caller) -> None:
    text = "<script>alert(1)</script> & 482913"
    await caller.call("sendMT", f"43/12345/null/13056708084/{base64(text)}")
    page = (await caller.http.get("/")).text
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; 482913" in page
    assert "<script" not in page
    assert '<p class="pin">482913</p>' in page
    assert "+13056708084" in page


async def test_texts_from_handsets_and_statuses_are_shown_escaped(caller: Caller) -> None:
    await caller.call("sendMT", f"43/12345/null/13056708084/{base64('Hello')}")
    await caller.http.post("/statuses", json={"to": "+13056708084", "status": "<b>odd</b>"})
    await caller.http.post("/mo", json={"from": "+1305", "to": "<i>", "text": "STOP <now>"})
    page = (await caller.http.get("/")).text
    assert '<span class="status">&lt;b&gt;odd&lt;/b&gt;</span>' in page
    assert "from +1305" in page
    assert "STOP &lt;now&gt;" in page
    assert "<i>" not in page


async def test_it_tells_how_to_text_and_what_it_tells_works(caller: Caller) -> None:
    for number, code in (("573001234567", "12345"), ("13056708084", "999")):
        page = (await caller.http.get("/")).text
        told = re.search("<code>(curl .*)</code>", page)
        assert told is not None
        _, _, url, _, body = shlex.split(unescape(told[1]))
        assert json.loads(body) == {"from": f"+{number}", "to": code, "text": "STOP"}
        assert (await caller.http.post(url, content=body)).status_code == 201
        await caller.call("sendMT", f"43/999/null/13056708084/{base64('Hello')}")


async def test_it_refreshes_itself_and_can_be_paused(caller: Caller) -> None:
    assert (await caller.http.get("/")).headers["refresh"] == "2"
    assert "refresh" not in (await caller.http.get("/?still=1")).headers


async def test_its_policy_allows_its_own_style_and_nothing_else(caller: Caller) -> None:
    page = await caller.http.get("/")
    style = re.search("<style>(.*)</style>", page.text, re.DOTALL)
    assert style is not None
    digest = b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    policy = page.headers["content-security-policy"]
    assert policy.startswith(f"default-src 'none'; style-src 'sha256-{digest}';")
    assert "unsafe" not in policy


async def test_a_host_header_cannot_write_into_the_page(caller: Caller) -> None:
    page = await caller.http.get("/", headers={"Host": 'x"><script>'})
    assert "<script" not in page.text
