"""JSON files as people bring them: packed or not, bounded, and named when they cannot be read."""

import gzip
import json
import zlib
from pathlib import Path
from typing import Any

from geofences.errors import UnreadableFile

FILE_LIMIT_BYTES = 536_870_912
"""Of a file, after unpacking."""


def load_json(path: Path) -> Any:
    """The value in a JSON file, unpacked when its name ends in ``.gz``. Raises `UnreadableFile`, naming the file;
    `OSError` when it is not there.
    """
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        try:
            data = file.read(FILE_LIMIT_BYTES + 1)
            if len(data) > FILE_LIMIT_BYTES:
                raise UnreadableFile(f"{path} is larger than {FILE_LIMIT_BYTES} bytes; import it in parts")
            return json.loads(data)
        except (ValueError, RecursionError, gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise UnreadableFile(f"{path} is not JSON: {error}") from None
