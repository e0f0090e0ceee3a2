"""Values that examples show: by the name of a field, else by its schema."""

from __future__ import annotations

from typing import Any

TIME = "2026-01-31T12:00:00Z"
ID = "0199c0de-0000-7000-8000-000000000001"
REQUEST_ID = "0199c0de-0000-7000-8000-0000000000ff"
ETAG = "r1"
_TEXTS = {
    "access_token": "eyJhbGciOiJFZERTQSJ9.e30.c2lnbmF0dXJl",
    "account_name": "Tea House",
    "alt_text": "A clay teapot on a wooden table",
    "caption": "A teapot of red clay",
    "content_html": "<p>A good teapot pours without dripping.</p>",
    "description": "For people who buy their first teapot.",
    "email": "owner@example.com",
    "etag": ETAG,
    "excerpt": "What to look for in a teapot.",
    "key": "wk_0123456789abcdef",
    "keywords": "teapot, clay, porcelain",
    "meta_description": "Clay or porcelain? What to look for in a teapot.",
    "meta_title": "How to choose a teapot",
    "model": "gpt-5-mini",
    "name": "Teapots",
    "new_password": "another long sentence",
    "operation": "content_generation",
    "password": "a long sentence of your own",
    "plan": "starter",
    "primary_keyword": "teapot",
    "prompt": "A clay teapot in morning light",
    "reason": "Asked for by the customer",
    "sector_name": "Teapots",
    "site_name": "Tea House",
    "slug": "teapots",
    "title": "How to choose a teapot",
    "url": "https://tea.example",
}


def of_text(name: str) -> str | None:
    """An example for a string field with this name, if there is a telling one."""
    if name == "id" or name.endswith("_id"):
        return ID
    return _TEXTS.get(name)


def of_schema(schema: dict[str, Any], schemas: dict[str, Any], name: str = "") -> Any:
    """A value that fits: examples first, then what the keywords allow."""
    target = schema.get("$ref")
    if target is not None:
        return of_schema(schemas[target.rpartition("/")[2]], schemas, name)
    if "examples" in schema:
        return schema["examples"][0]
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return next((v for v in schema["enum"] if "unspecified" not in str(v)), schema["enum"][0])
    for choices in ("anyOf", "oneOf"):
        for choice in schema.get(choices, ()):
            if choice.get("const") != "" and choice.get("type") != "null":
                return of_schema({**choice, "type": choice.get("type", "string")}, schemas, name)
    return _of_type(schema, schemas, name)


def _of_type(schema: dict[str, Any], schemas: dict[str, Any], name: str) -> Any:
    kind = schema.get("type", "object")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "object":
        properties = schema.get("properties", {})
        return {key: of_schema(inner, schemas, key) for key, inner in properties.items()}
    if kind == "array":
        return [of_schema(schema["items"], schemas, name.removesuffix("s"))]
    if kind == "integer":
        return max(schema.get("minimum", 1), 1)
    if kind == "string":
        text = of_text(name) or (ID if schema.get("format") == "uuid" else "text")
        return text[: schema.get("maxLength", len(text))]
    return {"boolean": False, "number": 1.5, "null": None}[kind]
