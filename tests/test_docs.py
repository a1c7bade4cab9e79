"""The documents name everything that an operator or integrator can set or call, with its real default."""

import ast
import re
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import click
import yaml
from prometheus_client.metrics import MetricWrapperBase
from pydantic import SecretStr
from pydantic_core import PydanticUndefined

from otp_service.api.kit.problems import STATUS
from otp_service.api.operations import CALLBACKS, OPERATIONS, TWILIO
from otp_service.cli import main
from otp_service.config.environment import variable
from otp_service.config.policy.policy import Policy, load_policy
from otp_service.config.settings import ServiceSettings, variables_of
from otp_service.hashing.argon2 import Argon2Cost
from otp_service.observability import metrics
from otp_service.storage.tables import metadata

ROOT = Path(__file__).parent.parent
MARKDOWN = ("*.md", "docs/**/*.md", "client/*.md", "examples/**/*.md")
FILES = [path for pattern in MARKDOWN for path in sorted(ROOT.glob(pattern))]
TEXT = "\n".join(path.read_text() for path in FILES)
CONFIGURATION = (ROOT / "docs" / "configuration.md").read_text()


def commands(group: click.Group, prefix: str = "") -> Iterator[str]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from commands(command, f"{prefix}{name} ")
        else:
            yield f"{prefix}{name}"


def counted() -> Iterator[str]:
    for each in vars(metrics).values():
        if isinstance(each, MetricWrapperBase):
            (described,) = each.describe()
            yield f"{described.name}_total" if described.type == "counter" else described.name


def logged() -> set[str]:
    """The events of the service's log lines."""
    code = "\n".join(path.read_text() for path in (ROOT / "otp_service").rglob("*.py"))
    return set(re.findall(r'\blog\.(?:info|warning|error)\(\s*"(\w+)"', code))


def names(thing: str) -> bool:
    """Whether the docs hold it as a word of its own."""
    return re.search(rf"(?<![\w-]){re.escape(thing)}(?![\w-])", TEXT) is not None


def test_every_setting_is_documented_with_its_default() -> None:
    documented = dict(re.findall(r"^\| `(OTP_[A-Z0-9_]+)` \| (.*?) \|", CONFIGURATION, re.MULTILINE))
    assert documented == {variable(field): default_of(field) for field in variables_of(ServiceSettings)}


def default_of(field: str) -> str:
    default = ServiceSettings.model_fields[field].default
    if default is PydanticUndefined:
        return "required"
    if default is None or default == ():
        return "none"
    if isinstance(default, Argon2Cost):
        return f"`m={default.memory_kib},t={default.iterations},p={default.lanes}`"
    assert not isinstance(default, SecretStr)
    return f"`{default:g}`" if type(default) is float else f"`{str(default).lower()}`"


def test_every_key_of_the_policy_file_is_documented_with_its_default(tmp_path: Path) -> None:
    text = "".join(re.findall(r"^```toml\n(.*?)^```$", CONFIGURATION, re.MULTILINE | re.DOTALL))
    path = tmp_path / "policy.toml"
    path.write_text(text, "utf-8")
    assert load_policy(path) == Policy()
    shipped = Policy().model_dump()
    documented = tomllib.loads(text)
    assert keys_of(documented, "purposes") == keys_of(shipped, "purposes")
    signup = shipped["purposes"]["signup"]
    assert documented["purposes"].keys() == shipped["purposes"].keys()
    assert keys_of(documented["purposes"]["signup"]) == keys_of(signup) - {"name"}


def keys_of(table: dict[str, Any], *but: str) -> set[str]:
    """The keys of the table and of its tables, without those inside the tables named in `but`."""
    inner = {
        f"{name}.{key}"
        for name, value in table.items()
        if isinstance(value, dict) and name not in but
        for key in keys_of(value)
    }
    return {*table, *inner}


def test_every_command_is_documented() -> None:
    missing = [
        each for each in commands(main) if not re.search(rf"(otp-service |`|run ){re.escape(each)}(?![\w-])", TEXT)
    ]
    assert missing == []


def test_every_error_code_is_documented() -> None:
    assert [code for code in STATUS if not names(f"`{code}`")] == []


def test_every_metric_is_documented() -> None:
    assert [metric for metric in counted() if not names(metric)] == []


def test_every_log_event_is_documented() -> None:
    assert [event for event in sorted(logged()) if not names(f"`{event}`")] == []


def test_every_table_is_in_the_list_of_tables() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text()
    listed = re.findall(r"^\| (`.*?) \|", page[page.index("## Tables") : page.index("## Time")], re.MULTILINE)
    assert set(re.findall(r"`(\w+)`", " ".join(listed))) - {"campaign_messages"} == metadata.tables.keys()


def test_every_route_is_documented() -> None:
    calls = [f"{each.method} {each.path}" for each in OPERATIONS + TWILIO + CALLBACKS]
    assert [call for call in calls if not names(call)] == []


def found(pattern: str) -> Iterator[tuple[Path, Any]]:
    """Every page with every match of the pattern in it, as `re.findall` gives it."""
    return ((page, match) for page in FILES for match in re.findall(pattern, page.read_text()))


def test_every_link_leads_to_a_file_and_a_heading() -> None:
    assert [(page, link) for page, link in found(r"\]\(([^)]+)\)") if "://" not in link and not leads(page, link)] == []


def leads(page: Path, link: str) -> bool:
    name, _, anchor = link.partition("#")
    target = page.parent / name if name else page
    return target.exists() and (not anchor or anchor in anchors_of(target))


def test_every_file_named_in_backticks_exists() -> None:
    named = found(r"`((?:tests|otp_service|migrations|benchmarks)/[a-z0-9_/.]+\.py)`")
    assert [(page, path) for page, path in named if not (ROOT / path).is_file()] == []


def test_every_test_named_in_backticks_exists() -> None:
    named = found(r"`((?:client/)?tests/[a-z0-9_/]+\.py)::(\w+)`")
    assert [(page, test) for page, test in named if test[1] not in functions_of(ROOT / test[0])] == []


@cache
def functions_of(file: Path) -> set[str]:
    """The functions of a file of Python; none if there is no such file."""
    tree = ast.parse(file.read_text() if file.is_file() else "")
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


@cache
def anchors_of(page: Path) -> set[str]:
    """The anchors that GitHub gives to the headings of the page."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_hooks_before_a_commit_are_local() -> None:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    assert [repo["repo"] for repo in config["repos"]] == ["local"]


def test_a_page_uses_no_private_words() -> None:
    """Words that only the authors understood, and references to documents that are not here."""
    assert [*found(r"(?i)\b(?:errands?|anew|mends?|dearest|section \d+)\b")] == []


def test_the_docstring_of_a_function_begins_with_a_verb() -> None:
    """It says what the function does or returns, in the imperative (PEP 257), not what a thing is."""
    nouns = re.compile(r"(The|An?|Whether|What|How|When|Where|All|Every|Each|One|Of|As|Nothing|Returns)\b|`")
    fragments = [
        f"{path.relative_to(ROOT)}:{node.name}"
        for path in (ROOT / "otp_service").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and nouns.match(ast.get_docstring(node) or "")
    ]
    assert not fragments
