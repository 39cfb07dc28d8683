"""Checks a value against a schema of an OpenAPI 3.0 document: what of that language Twilio's document uses."""

import re
from email.utils import parsedate_to_datetime
from typing import Any

KINDS = {"string": str, "integer": int, "object": dict, "array": list, "boolean": bool}


def faults(value: Any, schema: dict[str, Any], schemas: dict[str, Any], at: str = "$") -> list[str]:
    """Where the value is not as the schema says; a field that the schema does not know is one, too."""
    if "$ref" in schema:
        return faults(value, schemas[schema["$ref"].rpartition("/")[2]], schemas, at)
    if value is None:
        return [] if schema.get("nullable") else [f"{at}: null"]
    kind = schema.get("type", "object")
    if not isinstance(value, KINDS[kind]) or (isinstance(value, bool) and kind != "boolean"):
        return [f"{at}: no {kind}"]
    found = []
    if kind == "string":
        wrong = (
            not re.search(schema.get("pattern", ""), value)
            or ("enum" in schema and value not in schema["enum"])
            or not schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", len(value))
        )
        found += [f"{at}: {value!r}"] if wrong else []
        if schema.get("format") == "date-time-rfc-2822":
            parsedate_to_datetime(value)
    elif kind == "array":
        for place, each in enumerate(value):
            found += faults(each, schema["items"], schemas, f"{at}[{place}]")
    elif properties := schema.get("properties"):
        found += [f"{at}: {name} is not known" for name in value.keys() - properties.keys()]
        found += [f"{at}: {name} is missing" for name in properties.keys() - value.keys()]
        for name in properties.keys() & value.keys():
            found += faults(value[name], properties[name], schemas, f"{at}.{name}")
    return found
