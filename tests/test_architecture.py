"""The import rules of docs/architecture.md, read from the source at every run."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FILES = sorted((ROOT / "otp_service").rglob("*.py"))
MAY_IMPORT = {
    "facts": {"facts"},
    "observability": {"facts", "observability"},
    "hashing": {"facts", "observability", "hashing"},
    "config": {"facts", "hashing", "config"},
    "gateways": {"facts", "observability", "gateways"},
    "gateways.ogangi": {"facts", "observability", "gateways", "gateways.ogangi"},
    "database": {"facts", "observability", "database", "storage"},  # storage: until the clock has moved
    "storage": {"facts", "hashing", "database", "storage"},
    "services": {"facts", "observability", "hashing", "config", "database", "storage", "gateways", "services"},
    "api": {"facts", "observability", "hashing", "config", "services", "database", "pages", "gateways", "api"},
    "pages": {"facts", "pages"},
    "simulator": {"facts", "simulator"},
    "server": {"facts", "observability", "server"},
}
"""Packages that are not named here (`app`, `cli`, `__main__`) may import everything."""
ONLY_IN = {
    "httpx": {"gateways.ogangi"},
    "sqlalchemy": {"database", "storage", "services"},
    "alembic": {"database"},
    "starlette": {"api", "app", "simulator", "cli", "server"},
    "uvicorn": {"cli", "server"},
    "click": {"cli"},
    "random": set(),
    "phonenumbers.carrier": set(),
    "phonenumbers.geocoder": set(),
    "phonenumbers.timezone": set(),
}
OUTERMOST = {"app", "cli", "__main__"}


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_of(path): path for path in FILES}


def package_of(module: str) -> str:
    _, *parts = module.split(".")
    if not parts:
        return "facts"
    if parts[:2] == ["gateways", "ogangi"]:
        return "gateways.ogangi"
    is_package = (ROOT / "otp_service" / parts[0]).is_dir()
    return parts[0] if is_package or parts[0] in OUTERMOST else "facts"


def imports(module: str) -> Iterator[str]:
    """Every module that a module imports, also inside functions."""
    path = MODULES[module]
    tree = ast.parse(path.read_text())
    base = module.split(".") if path.name == "__init__.py" else module.split(".")[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = base[: len(base) - node.level + 1] if node.level else []
            source = ".".join([*above, *filter(None, [node.module])])
            yield from (f"{source}.{alias.name}" for alias in node.names)


def ours(name: str) -> str | None:
    """The module of ours that a name stands for or in."""
    return name if name in MODULES else next((m for m in [name.rpartition(".")[0]] if m in MODULES), None)


@pytest.mark.parametrize("module", MODULES)
def test_a_package_imports_only_what_it_may(module: str) -> None:
    package = package_of(module)
    for name in imports(module):
        imported = ours(name)
        if imported and package not in OUTERMOST:
            assert package_of(imported) in MAY_IMPORT[package], f"{module} imports {imported}"


@pytest.mark.parametrize("module", MODULES)
def test_a_library_is_imported_only_where_it_belongs(module: str) -> None:
    for name in imports(module):
        for library, packages in ONLY_IN.items():
            if f"{name}.".startswith(f"{library}."):
                assert package_of(module) in packages, f"{module} imports {name}"


def test_services_know_nothing_of_sqlalchemy_but_the_open_transaction() -> None:
    names = {name for m in MODULES if package_of(m) == "services" for name in imports(m) if "sqlalchemy" in name}
    assert names <= {"sqlalchemy.engine.Connection"}


def test_imports_make_no_cycle() -> None:
    graph = {module: {ours(name) for name in imports(module)} - {None, module} for module in MODULES}
    while leaves := [module for module, needs in graph.items() if needs.isdisjoint(graph)]:
        for module in leaves:
            del graph[module]
    assert not graph, f"these import each other: {sorted(graph)}"


def test_every_package_has_its_rules() -> None:
    assert {package_of(module) for module in MODULES} == {*MAY_IMPORT, *OUTERMOST}


@pytest.mark.parametrize("path", [*FILES, *sorted((ROOT / "migrations").rglob("*.py"))], ids=lambda path: path.name)
def test_no_file_is_longer_than_300_lines(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 300
