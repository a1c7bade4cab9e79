"""The files of docs/examples/ are accepted by the tools that they are for."""

import datetime
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from prometheus_client.metrics import MetricWrapperBase

from otp_service.api.operations import CALLBACKS, OPERATIONS
from otp_service.config.policy.policy import Policy, load_policy
from otp_service.observability import metrics

EXAMPLES = Path(__file__).parent.parent / "docs" / "examples"
RULES: list[dict[str, Any]] = [
    rule for group in yaml.safe_load((EXAMPLES / "otp-alerts.yml").read_text())["groups"] for rule in group["rules"]
]


def accepted_by(tool: str, *arguments: str | Path) -> None:
    """Fails with the tool's output if it finds a problem; skips if the tool is not installed."""
    found = shutil.which(tool, path="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
    if found is None:
        pytest.skip(f"{tool} is not installed")
    done = subprocess.run([found, *arguments], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    text = (EXAMPLES / "otp-service.service").read_text()
    unit = tmp_path / "otp-service.service"
    unit.write_text(text.replace("/opt/otp/bin/otp-service", str(Path(sys.executable).parent / "otp-service")))
    accepted_by("systemd-analyze", "verify", "--man=no", unit)


def test_caddy_accepts_its_configuration() -> None:
    accepted_by("caddy", "validate", "--adapter", "caddyfile", "--config", EXAMPLES / "Caddyfile")


def test_nginx_accepts_its_configuration(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)
    text = (EXAMPLES / "nginx.conf").read_text()
    text = text.replace("/etc/ssl/certs/otp.example.com.pem", str(certificate))
    text = text.replace("/etc/ssl/private/otp.example.com.key", str(key))
    config = tmp_path / "nginx.conf"
    folders = [f"{name}_temp_path {tmp_path};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")]
    http = "\n".join(["access_log off;", *folders, text])
    config.write_text(f"pid {tmp_path}/pid;\nerror_log stderr;\nevents {{}}\nhttp {{\n{http}\n}}\n")
    accepted_by("nginx", "-t", "-p", tmp_path, "-e", "stderr", "-c", config)


def test_the_service_accepts_the_policy_file_and_every_purpose_has_a_brand_in_it() -> None:
    path = EXAMPLES / "policy.toml"
    assert load_policy(path) == Policy(), "its values are the defaults"
    purposes = tomllib.loads(path.read_text())["purposes"]
    assert purposes.keys() == Policy().purposes.keys()
    assert all({"brand", "default_locale"} <= purpose.keys() for purpose in purposes.values())


def test_the_service_accepts_what_is_commented_out_in_the_policy_file(tmp_path: Path) -> None:
    text = re.sub(r'^# (?="?\w+"? = )', "", (EXAMPLES / "policy.toml").read_text(), flags=re.MULTILINE)
    (tmp_path / "policy.toml").write_text(text)
    policy = load_policy(tmp_path / "policy.toml")
    assert policy.carriers == {"5730": "Tigo"}
    assert policy != Policy()


def self_signed(folder: Path) -> tuple[Path, Path]:
    """The files of a certificate and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "otp.example.com")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    paths = folder / "certificate.pem", folder / "key.pem"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return paths


def test_prometheus_accepts_its_configuration(tmp_path: Path) -> None:
    for name in ("prometheus.yml", "otp-alerts.yml"):
        shutil.copy(EXAMPLES / name, tmp_path)
    (tmp_path / "token").write_text("token")
    config = tmp_path / "prometheus.yml"
    config.write_text(config.read_text().replace("/etc/prometheus/otp-metrics-token", "token"))
    accepted_by("promtool", "check", "config", config)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: str(rule["alert"]))
def test_an_alert_uses_metrics_and_labels_that_exist(rule: dict[str, Any]) -> None:
    known = labels_by_series()
    used = re.findall(r"\b((?:otp_|up\b)\w*)(?:\{((?:[^\"}]|\"[^\"]*\")*)\})?", rule["expr"])
    assert used
    for series, matchers in used:
        assert series in known
        assert set(re.findall(r"(\w+)\s*[=!]", matchers)) <= known[series]
    assert rule["annotations"]["summary"]


def labels_by_series() -> dict[str, set[str]]:
    """The labels of each series that /metrics can show, and of Prometheus's own `up`."""
    found = {"up": {"job", "instance"}}
    for metric in vars(metrics).values():
        if isinstance(metric, MetricWrapperBase):
            (described,) = metric.describe()
            suffix = {"counter": "_total", "histogram": "_bucket"}.get(described.type, "")
            found[described.name + suffix] = set(metric._labelnames)
    return found


def test_an_alert_names_routes_that_exist() -> None:
    routes = {each.path for each in OPERATIONS + CALLBACKS}
    named = {route for rule in RULES for route in re.findall(r'route="(/[^"]*)"', rule["expr"])}
    assert named <= routes
