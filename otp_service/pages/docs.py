"""The OpenAPI document as one page: no script, nothing from another host."""

import base64
import hashlib
import json
from collections.abc import Sequence
from html import escape
from typing import Any

_STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 52rem; margin: 2rem auto; padding: 0 1rem; }
h2 { margin-top: 2.5rem; border-top: 1px solid #8886; padding-top: 1rem; font-size: 1.1rem; }
code, pre { font: 0.9em/1.4 ui-monospace, monospace; }
pre { overflow-x: auto; background: #8882; padding: 0.75rem; border-radius: 4px; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: 0.25rem 0.75rem 0.25rem 0; border-bottom: 1px solid #8883; }
summary { cursor: pointer; }
"""
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()

CONTENT_SECURITY_POLICY = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title} API</title>
<style>{style}</style>
</head>
<body>
<main>
<h1>{title} {version}</h1>
<p>{description} The machine-readable form is <a href="/openapi.json">/openapi.json</a>.
Send the API key as <code>Authorization: Bearer otp_...</code></p>
{calls}
<h2>Shapes</h2>
{shapes}
</main>
</body>
</html>
"""


def render(document: dict[str, Any]) -> str:
    """The page of an OpenAPI document."""
    info = {name: escape(text) for name, text in document["info"].items()}
    calls = [
        _operation(method, path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    shapes = [_shape(name, schema) for name, schema in document["components"]["schemas"].items()]
    return _PAGE.format(style=_STYLE, calls="\n".join(calls), shapes="\n".join(shapes), **info)


def _operation(method: str, path: str, operation: dict[str, Any]) -> str:
    parts = [f"<h2><code>{method.upper()} {escape(path)}</code></h2>", f"<p>{escape(operation['summary'])}</p>"]
    if operation.get("security") == []:
        parts.append("<p>Needs no API key.</p>")
    if "requestBody" in operation:
        parts.append(f"<p>Body: {_content(operation['requestBody'])}</p>")
    if operation["parameters"]:
        rows = [(_code(each["name"]), each["in"], escape(each["description"])) for each in operation["parameters"]]
        parts.append(_table(("Parameter", "In", "Meaning"), rows))
    rows = [(status, _content(each), escape(each["description"])) for status, each in operation["responses"].items()]
    parts.append(_table(("Status", "Shape", "Meaning"), rows))
    return "\n".join(parts)


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """`rows`: of HTML."""
    titles = "".join(f'<th scope="col">{title}</th>' for title in head)
    lines = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{titles}</tr></thead><tbody>{lines}</tbody></table>"


def _content(described: dict[str, Any]) -> str:
    ((media_type, content),) = described["content"].items()
    if "$ref" not in content["schema"]:
        return _code(media_type)
    name = content["schema"]["$ref"].rpartition("/")[2]
    return f'<a href="#{escape(name)}">{_code(name)}</a>'


def _shape(name: str, schema: dict[str, Any]) -> str:
    text = escape(json.dumps(schema, indent=2, ensure_ascii=False))
    return f'<details id="{escape(name)}"><summary>{_code(name)}</summary><pre>{text}</pre></details>'


def _code(text: str) -> str:
    return f"<code>{escape(text)}</code>"
