"""The OpenAPI document as one page with examples to copy: one style, one script, nothing from another host."""

import json
import re
import shlex
from collections.abc import Sequence
from html import escape
from typing import Any
from urllib.parse import urlencode

from otp_service.pages.docs_assets import SCRIPT, STYLE

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title} API</title>
<style>{style}</style>
</head>
<body>
<nav aria-label="Contents">
<details open>
<summary>Contents</summary>
{contents}
</details>
</nav>
<main>
<h1>{title} <small>{version}</small></h1>
<p>{description} The machine-readable form is <a href="/openapi.json">/openapi.json</a>.</p>
<p>Send the API key of your application as <code>Authorization: Bearer otp_...</code>. The examples read it from the
shell; those in Python use the client in <code>client/</code>, which also reads it from there.</p>
{key}
{calls}
<h2 id="shapes">Shapes</h2>
<p>The bodies of requests and responses.</p>
{shapes}
</main>
<script>{script}</script>
</body>
</html>
"""

_PYTHON = {
    "verifications.create": "verifications.start",
    "search.find": "verifications.search",
    "verifications.read": "verifications.get",
    "verifications.check": "verifications.check",
    "verifications.resend": "verifications.resend",
    "verifications.cancel": "verifications.cancel",
    "verifications.events": "verifications.events",
    "proofs.redeem": "proofs.redeem",
    "notifications.create": "notifications.send",
    "notifications.read": "notifications.get",
    "opt_outs.add": "opt_outs.add",
    "opt_outs.look_up": "opt_outs.lookup",
    "opt_outs.remove": "opt_outs.remove",
}
"""The method of the Python client for each call that it has."""


def render(document: dict[str, Any]) -> str:
    """Return the page of an OpenAPI document."""
    groups = [(tag, _calls_of(document, tag["name"])) for tag in document["tags"]]
    schemas = dict(sorted(document["components"]["schemas"].items()))
    return _PAGE.format(
        style=STYLE,
        script=SCRIPT,
        contents="\n".join([*(_links(tag["name"], calls) for tag, calls in groups), _links_of_shapes(schemas)]),
        key=_figure("shell", "export OTP_SERVICE_KEY=otp_..."),
        calls="\n".join(_group(tag, calls, document["servers"][0]["url"]) for tag, calls in groups),
        shapes="\n".join(_shape(name, schema) for name, schema in schemas.items()),
        **{name: _prose(text) for name, text in document["info"].items()},
    )


_Call = tuple[str, str, dict[str, Any]]


def _calls_of(document: dict[str, Any], tag: str) -> list[_Call]:
    """Return method, path and operation of the calls with a tag."""
    return [
        (method, path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if tag in operation["tags"]
    ]


def _links(title: str, calls: list[_Call]) -> str:
    links = (
        f'<li><a class="call" href="#{escape(operation["operationId"])}">'
        f"{_method(method)}<span>{escape(path.removeprefix('/v1'))}</span></a></li>"
        for method, path, operation in calls
    )
    return f"<p>{escape(title.capitalize())}</p>\n<ul>{''.join(links)}</ul>"


def _links_of_shapes(schemas: dict[str, Any]) -> str:
    links = (f'<li><a href="#{escape(name)}">{escape(name)}</a></li>' for name in schemas)
    return f"<p>Shapes</p>\n<ul>{''.join(links)}</ul>"


def _method(method: str) -> str:
    return f'<span class="method">{method.upper()}</span> '


def _group(tag: dict[str, str], calls: list[_Call], server: str) -> str:
    title = (
        f'<h2 id="{escape(tag["name"])}">{escape(tag["name"].capitalize())}</h2>\n<p>{_prose(tag["description"])}</p>'
    )
    return "\n".join([title, *(_operation(*call, server) for call in calls)])


def _operation(method: str, path: str, operation: dict[str, Any], server: str) -> str:
    parts = [
        f'<h3 id="{escape(operation["operationId"])}">{_method(method)}{_code(path)}</h3>',
        f"<p>{_prose(operation['summary'])}{' Needs no API key.' if _is_open(operation) else ''}</p>",
        _figure("curl", _curl(method, path, operation, server)),
    ]
    if operation["operationId"] in _PYTHON:
        parts.append(_figure("Python", _python(operation, server)))
    status, answer = next(iter(operation["responses"].items()))
    example = answer.get("content", {}).get("application/json", {}).get("example")
    if example is not None:
        parts.append(_figure(f"Response {status}", json.dumps(example, indent=2, ensure_ascii=False)))
    if "requestBody" in operation:
        parts.append(f"<p>Body: {_content(operation['requestBody'])}</p>")
    if operation["parameters"]:
        rows = [(_code(each["name"]), each["in"], _prose(each["description"])) for each in operation["parameters"]]
        parts.append(_table("Parameters", ("Name", "In", "Meaning"), rows))
    rows = [(status, _content(each), _prose(each["description"])) for status, each in operation["responses"].items()]
    parts.append(_table("Responses", ("Status", "Shape", "Meaning"), rows))
    return "\n".join(parts)


def _figure(caption: str, text: str) -> str:
    """Return an example with its caption, to which the script adds a button."""
    return f'<figure><figcaption>{escape(caption)}</figcaption><pre tabindex="0">{escape(text)}</pre></figure>'


def _is_open(operation: dict[str, Any]) -> bool:
    return operation.get("security") == []


def _examples(operation: dict[str, Any], place: str) -> dict[str, str]:
    """Return the examples of the parameters in the path or the query."""
    return {each["name"]: each["example"] for each in operation["parameters"] if each["in"] == place}


def _body(operation: dict[str, Any]) -> dict[str, Any]:
    body = operation.get("requestBody", {"content": {"application/json": {"example": {}}}})
    example: dict[str, Any] = body["content"]["application/json"]["example"]
    return example


def _curl(method: str, path: str, operation: dict[str, Any], server: str) -> str:
    """Return a call with the examples of its path, its query and the body that it needs."""
    address = f"{server}{path.format(**_examples(operation, 'path'))}"
    query = urlencode(_examples(operation, "query"))
    lines = [f"curl -s {shlex.quote(f'{address}?{query}') if query else address}"]
    if not _is_open(operation):
        lines.append('-H "Authorization: Bearer $OTP_SERVICE_KEY"')
    if operation.get("requestBody", {}).get("required"):
        body = json.dumps(_body(operation), ensure_ascii=False)
        lines += ["-H 'Content-Type: application/json'", f"-d {shlex.quote(body)}"]
    elif method != "get":
        lines[0] = lines[0].replace("-s", f"-s -X {method.upper()}", 1)
    return " \\\n  ".join(lines)


def _python(operation: dict[str, Any], server: str) -> str:
    """Return the same call with the Python client."""
    given = [f'"{value}"' for value in _examples(operation, "path").values()]
    given += [f"{name}={_literal(value)}" for name, value in _body(operation).items()]
    lines = "".join(f"    {each},\n" for each in given)
    call = f"otp.{_PYTHON[operation['operationId']]}(\n{lines})"
    return f'from otp_service_client import Client\n\notp = Client("{server}")\nanswer = {call}'


def _literal(value: Any) -> str:
    """Return a value of an example as Python."""
    return repr(value) if isinstance(value, bool) else json.dumps(value, ensure_ascii=False)


def _table(title: str, head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """Return a table in a box that scrolls on a narrow screen. `rows`: of HTML."""
    heading = f"<h4>{title}</h4>\n" if title else ""
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
