"""Who processes shoppers' data on our behalf, as declared in a TOML file, and what they are told of an erasure."""

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

NAME_LIMIT_CHARS = 64
_KNOWN = frozenset({"name", "task", "data", "country", "safeguard", "url", "secret_file"})


class InvalidProcessors(ValueError):
    """The file of processors cannot be used; the message has one line per problem."""


@dataclass(frozen=True, slots=True)
class Processor:
    """A company that works for us. `task`, `data`, `country` and `safeguard` (the ground of a transfer abroad) are for
    the data-protection sheet. An erasure is posted to `url`, signed with `secret`; without a url it is a person's task.
    """

    name: str
    task: str
    data: str
    country: str
    safeguard: str = ""
    url: str = ""
    secret: bytes = field(default=b"", repr=False)


def read_processors(path: Path | None, *, plain_http_to_loopback: bool) -> tuple[Processor, ...]:
    """The processors of a file of ``[[processor]]`` tables; none without a file. Raises InvalidProcessors, which lists
    every problem.
    """
    if path is None:
        return ()
    try:
        read = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise InvalidProcessors(f"{path}: {error}") from None
    tables: list[Mapping[str, Any]] = read.get("processor", [])
    problems = [f"{path}: {name}: not known here" for name in read if name != "processor"]
    for number, table in enumerate(tables, 1):
        problems += [f"{path}, processor {number}: {flaw}" for flaw in _flaws(table, plain_http_to_loopback)]
    names = [table.get("name") for table in tables]
    if len(set(names)) < len(names):
        problems.append(f"{path}: two processors have one name")
    if problems:
        raise InvalidProcessors("\n".join(problems))
    return tuple(_processor(table) for table in tables)


def _processor(table: Mapping[str, Any]) -> Processor:
    said = {name: value for name, value in table.items() if name != "secret_file"}
    secret = Path(table["secret_file"]).read_bytes().strip() if table.get("secret_file") else b""
    return Processor(**said, secret=secret)


def _flaws(table: Mapping[str, Any], plain_http_to_loopback: bool) -> list[str]:  # noqa: FBT001
    flaws = [f"{name}: not known here" for name in table if name not in _KNOWN]
    flaws += [f"{name}: must be text" for name in _KNOWN & table.keys() if not isinstance(table[name], str)]
    flaws += [f"{name}: is missing" for name in ("name", "task", "data", "country") if not table.get(name)]
    if flaws:
        return flaws
    if len(table["name"]) > NAME_LIMIT_CHARS or not table["name"].isprintable():
        flaws.append(f"name: at most {NAME_LIMIT_CHARS} printable characters")
    if url := table.get("url"):
        where = urlsplit(url)
        plain = (
            plain_http_to_loopback and where.scheme == "http" and where.hostname in ("127.0.0.1", "localhost")
        )
        if not where.hostname or (where.scheme != "https" and not plain):
            flaws.append("url: must start with https://")
        secret_file = table.get("secret_file")
        if not secret_file or not os.access(secret_file, os.R_OK):
            flaws.append("secret_file: a file that can be read is needed beside a url")
    return flaws
