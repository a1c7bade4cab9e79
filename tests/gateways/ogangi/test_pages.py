"""Every method has its page under docs/gateway/, and every link between the pages leads somewhere."""

import re
from pathlib import Path

import pytest

from otp_service.gateways.ogangi.methods import METHODS

DOCS = Path(__file__).parents[3] / "docs"
PAGES = sorted((DOCS / "gateway").glob("*.md"))
OVERVIEW = DOCS / "gateway.md"


@pytest.mark.parametrize("name", METHODS)
def test_a_method_has_its_page_with_its_address_and_how_to_try_it(name: str) -> None:
    method = METHODS[name]
    page = (DOCS / "gateway" / f"{name.removesuffix('-POST')}.md").read_text()
    segments = "/".join(f"{{{each.name}}}" for each in method.url)
    assert f"{{base}}/rest/api/{method.path}/{segments}/{{publicKey}}/{{signature}}" in page
    assert f"otp-service gateway call {name}" in page


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_is_linked_from_the_overview_and_its_own_links_lead_somewhere(page: Path) -> None:
    assert f"(gateway/{page.name})" in OVERVIEW.read_text()
    for link in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        assert (page.parent / link).is_file(), link
