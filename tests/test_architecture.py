"""The import rules of docs/architecture.md, read from the source."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FILES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in (ROOT / "otp_service").rglob("*.py")
}
LAYERS = [
    {"facts"},
    {"guard", "observability", "pages", "simulator"},
    {"hashing", "gateways", "database"},
    {"config", "storage"},
    {"services", "server"},
    {"api"},
    {"app"},
    {"cli"},
]
"""From the lowest up. A package imports itself and lower ones; `facts` are the modules beside the packages."""
LIBRARIES = {
    "httpx": {"gateways"},
    "sqlalchemy": {"database", "storage", "services"},
    "alembic": {"database"},
    "starlette": {"api", "app", "simulator", "server", "cli"},
    "uvicorn": {"server", "cli"},
    "click": {"cli"},
    "random": set(),
}
"""Who imports a library. `random` is not for secrets, so nobody does."""


def package_of(module: str) -> str:
    name = module.removeprefix("otp_service").strip(".").split(".")[0]
    if name == "__main__":
        return "cli"
    return name if name == "app" or ((ROOT / "otp_service" / name).is_dir() and name) else "facts"


def imports_of(module: str) -> Iterator[str]:
    """Every module that a module imports, also inside functions."""
    package = module.split(".") if FILES[module].name == "__init__.py" else module.split(".")[:-1]
    for node in ast.walk(ast.parse(FILES[module].read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) + 1 - node.level] if node.level else []
            source = ".".join([*above, *filter(None, [node.module])])
            names = (f"{source}.{alias.name}" for alias in node.names)
            yield from (source if source in FILES and name not in FILES else name for name in names)


IMPORTS = [(module, name) for module in FILES for name in imports_of(module) if name != module]
OURS = [found for found in IMPORTS if found[1] in FILES]


def test_a_package_imports_only_lower_ones() -> None:
    rank = {package: height for height, layer in enumerate(LAYERS) for package in layer}
    for module, name in OURS:
        mine, other = package_of(module), package_of(name)
        assert mine == other or rank[mine] > rank[other], f"{module} imports {name}"


def test_handlers_reach_the_database_through_services() -> None:
    assert not [
        found for found in OURS if package_of(found[0]) == "api" and package_of(found[1]) in {"storage", "database"}
    ]


def test_only_app_and_cli_know_which_gateway_it_is() -> None:
    ogangi = "otp_service.gateways.ogangi"
    knowing = {package_of(module) for module, name in OURS if name.startswith(ogangi) and not module.startswith(ogangi)}
    assert knowing == {"app", "cli"}


def test_a_library_is_imported_only_by_its_packages() -> None:
    for library, packages in LIBRARIES.items():
        assert {package_of(module) for module, name in IMPORTS if name.split(".")[0] == library} <= packages, library


def test_phonenumbers_is_imported_without_its_large_tables() -> None:
    tables = ("phonenumbers.carrier", "phonenumbers.geocoder", "phonenumbers.timezone")
    assert not [found for found in IMPORTS if found[1].startswith(tables)]


def test_services_know_nothing_of_sqlalchemy_but_the_open_transaction() -> None:
    names = {name for module, name in IMPORTS if package_of(module) == "services" and name.startswith("sqlalchemy")}
    assert names <= {"sqlalchemy.engine.Connection"}


def assert_no_cycle(left: set[str], edges: set[tuple[str, str]]) -> None:
    while leaves := left - {name for name, other in edges if other in left and other != name}:
        left = left - leaves
    assert not left, "these import each other"


def test_imports_make_no_cycle() -> None:
    assert_no_cycle(set(FILES), set(OURS))


@pytest.mark.parametrize("package", ["services", "storage"])
def test_sub_packages_import_each_other_without_a_cycle(package: str) -> None:
    above = f"otp_service.{package}."
    inside = {name: name.removeprefix(above).split(".")[0] for name in FILES if name.startswith(above)}
    folders = {folder for folder in inside.values() if (ROOT / "otp_service" / package / folder).is_dir()}
    edges = {(inside[module], inside[name]) for module, name in OURS if module in inside and name in inside}
    assert_no_cycle(folders, edges)


def test_no_file_is_longer_than_300_lines() -> None:
    paths = [*FILES.values(), *(ROOT / "migrations").rglob("*.py")]
    assert not [path.name for path in paths if len(path.read_text().splitlines()) > 300]


def test_no_package_has_more_than_12_files() -> None:
    folders = {path.parent for path in FILES.values()}
    counts = {folder: len([path for path in folder.glob("*.py") if path.name != "__init__.py"]) for folder in folders}
    assert not [folder.name for folder, count in counts.items() if count > 12]


@pytest.mark.parametrize(("package", "most"), [("", 20), ("services", 12)])
def test_the_top_of_a_package_can_be_read_at_a_glance(package: str, most: int) -> None:
    entries = [path for path in (ROOT / "otp_service" / package).iterdir() if not path.name.startswith("__")]
    assert len(entries) <= most
