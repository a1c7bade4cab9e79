"""The OpenAPI document as one page: no script, nothing from another host."""

import base64
import hashlib
import json
import re
import shlex
from collections.abc import Sequence
from html import escape
from typing import Any

_STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 52rem; margin: 2rem auto; padding: 0 1rem; }
h2 { margin-top: 3rem; border-top: 1px solid #8886; padding-top: 1rem; font-size: 1.2rem; overflow-wrap: anywhere; }
h3 { margin: 2rem 0 0.25rem; font-size: 1rem; }
h3 + p { margin-top: 0; }
code, pre { font: 0.9em/1.4 ui-monospace, monospace; }
p code { overflow-wrap: anywhere; }
pre { overflow-x: auto; background: #8882; padding: 0.75rem; border-radius: 4px; }
.table { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: 0.25rem 1rem 0.25rem 0; border-bottom: 1px solid #8883; }
td:first-child { white-space: nowrap; }
td:last-child { min-width: 11rem; padding-right: 0; }
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
Send the API key as <code>Authorization: Bearer otp_...</code>. The examples take it, and the address of the service,
from the shell:</p>
<pre>export OTP_SERVICE_URL=http://127.0.0.1:8000 OTP_SERVICE_KEY=otp_...</pre>
{calls}
<h2>Shapes</h2>
{shapes}
</main>
</body>
</html>
"""


def render(document: dict[str, Any]) -> str:
    """Return the page of an OpenAPI document."""
    info = {name: _prose(text) for name, text in document["info"].items()}
    schemas = document["components"]["schemas"]
    calls = [
        _operation(method, path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    shapes = [_shape(name, schema) for name, schema in schemas.items()]
    return _PAGE.format(style=_STYLE, calls="\n".join(calls), shapes="\n".join(shapes), **info)


def _operation(method: str, path: str, operation: dict[str, Any]) -> str:
    parts = [f"<h2>{_code(f'{method.upper()} {path}')}</h2>", f"<p>{_prose(operation['summary'])}</p>"]
    if _is_open(operation):
        parts.append("<p>Needs no API key.</p>")
    parts.append(f"<pre>{escape(_curl(method, path, operation))}</pre>")
    if "requestBody" in operation:
        parts.append(f"<p>Body: {_content(operation['requestBody'])}</p>")
    if operation["parameters"]:
        rows = [(_code(each["name"]), each["in"], _prose(each["description"])) for each in operation["parameters"]]
        parts.append(_table("Parameters", ("Name", "In", "Meaning"), rows))
    rows = [(status, _content(each), _prose(each["description"])) for status, each in operation["responses"].items()]
    parts.append(_table("Answers", ("Status", "Shape", "Meaning"), rows))
    return "\n".join(parts)


def _is_open(operation: dict[str, Any]) -> bool:
    return operation.get("security") == []


def _curl(method: str, path: str, operation: dict[str, Any]) -> str:
    """Return the smallest call: the required fields of the body with their examples, and ID in the path."""
    filled = re.sub(r"\{(\w+)\}", lambda name: name[1].upper(), path)
    lines = [f'curl -s "$OTP_SERVICE_URL{filled}"']
    if not _is_open(operation):
        lines.append('-H "Authorization: Bearer $OTP_SERVICE_KEY"')
    if "requestBody" in operation:
        body = json.dumps(operation["requestBody"]["content"]["application/json"]["example"], ensure_ascii=False)
        lines += ["-H 'Content-Type: application/json'", f"-d {shlex.quote(body)}"]
    elif method != "get":
        lines[0] = lines[0].replace("-s", f"-s -X {method.upper()}", 1)
    return " \\\n  ".join(lines)


def _table(title: str, head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """Return a table in a box that scrolls on a narrow screen. `rows`: of HTML."""
    heading = f"<h3>{title}</h3>\n" if title else ""
    titles = "".join(f'<th scope="col">{each}</th>' for each in head)
    lines = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    table = f"<table><thead><tr>{titles}</tr></thead><tbody>{lines}</tbody></table>"
    return f'{heading}<div class="table" tabindex="0">{table}</div>'


def _content(described: dict[str, Any]) -> str:
    name = _reference(described)
    if "content" not in described:
        return "none"
    return _link(name) if name else _code(next(iter(described["content"])))


def _reference(described: dict[str, Any]) -> str:
    """Return the name of the schema of a body or an answer, empty for plain text."""
    if "content" not in described:
        return ""
    (content,) = described["content"].values()
    return str(content["schema"].get("$ref", "")).rpartition("/")[2]


def _shape(name: str, schema: dict[str, Any]) -> str:
    if "properties" not in schema:
        return f'<h3 id="{escape(name)}">{_code(name)}</h3>\n<p>{_type(schema)}</p>'
    required = schema.get("required", [])
    rows = [
        (_code(field), _type(each), "yes" if field in required else "no", _meaning(each))
        for field, each in schema["properties"].items()
    ]
    heading = f'<h3 id="{escape(name)}">{_code(name)}</h3>\n<p>{_prose(schema.get("description", ""))}</p>'
    return f"{heading}\n{_table('', ('Field', 'Type', 'Required', 'Meaning'), rows)}"


def _type(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        return _link(schema["$ref"].rpartition("/")[2])
    values = schema.get("enum", [schema["const"]] if "const" in schema else [])
    if values:
        return ", ".join(_code(str(value)) for value in values)
    if "type" not in schema:
        return " or ".join(_type(each) for each in schema.get("anyOf", [])) or "any"
    if schema["type"] == "array":
        return f"array of {_type(schema['items'])}"
    return escape(f"{schema['type']} ({schema['format']})" if "format" in schema else schema["type"])


def _meaning(schema: dict[str, Any]) -> str:
    """Return a field's description, its length limit and examples; those of an optional field are in its one type."""
    told: dict[str, Any] = {}
    for each in (*schema.get("anyOf", []), schema):
        told.update(each)
    parts = [_prose(told["description"])] if "description" in told else []
    if "maxLength" in told:
        parts.append(f"At most {told['maxLength']} characters.")
    if "examples" in told:
        examples = ", ".join(_code(str(example)) for example in told["examples"])
        parts.append(f"Such as {examples}.")
    return " ".join(parts)


def _link(name: str) -> str:
    return f'<a href="#{escape(name)}">{_code(name)}</a>'


def _code(text: str) -> str:
    return f"<code>{escape(text)}</code>"


def _prose(text: str) -> str:
    """Return text as HTML; backticks mark code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))
