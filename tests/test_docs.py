"""README.md and docs/ name everything that an operator or an integrator can set, call or meet."""

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from prometheus_client.metrics import MetricWrapperBase

from otp_service import metrics
from otp_service.api.problems import STATUS
from otp_service.api.routes import CALLBACKS, OPERATIONS
from otp_service.cli import main
from otp_service.config.environment import variable
from otp_service.config.policy import Failures, Limits, Policy, Purpose, Retention
from otp_service.config.settings import ServiceSettings, variables_of

ROOT = Path(__file__).parent.parent
FILES = [*ROOT.glob("README.md"), *sorted((ROOT / "docs").rglob("*.md"))]
TEXT = "\n".join(path.read_text() for path in FILES)


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


def names(thing: str) -> bool:
    """Whether the docs hold it as a word of its own."""
    return re.search(rf"(?<![\w-]){re.escape(thing)}(?![\w-])", TEXT) is not None


@pytest.mark.parametrize("name", [variable(field) for field in variables_of(ServiceSettings)])
def test_every_setting_is_documented(name: str) -> None:
    assert names(name)


@pytest.mark.parametrize("model", [Policy, Purpose, Limits, Failures, Retention])
def test_every_key_of_the_config_file_is_documented(model: type[Policy]) -> None:
    assert [key for key in model.model_fields if key != "name" and not names(key)] == []


@pytest.mark.parametrize("command", [*commands(main)])
def test_every_command_is_documented(command: str) -> None:
    assert re.search(rf"(otp-service |`|run ){re.escape(command)}(?![\w-])", TEXT)


@pytest.mark.parametrize("code", [*STATUS])
def test_every_error_code_is_documented(code: str) -> None:
    assert names(f"`{code}`")


@pytest.mark.parametrize("metric", [*counted()])
def test_every_metric_is_documented(metric: str) -> None:
    assert names(metric)


@pytest.mark.parametrize("call", [f"{each.method} {each.path}" for each in OPERATIONS + CALLBACKS])
def test_every_route_is_documented(call: str) -> None:
    assert names(call)
