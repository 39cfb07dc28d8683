"""The commands about the keys that seal what is held of people, under `chaland vault`."""

import contextlib
import sys
from collections.abc import Iterator
from typing import Any

import typer

from engine.commands.opening import fail, read_settings


def rotate_vault() -> None:
    """Move all that is sealed to new keys, while the engine works; what was interrupted is taken up again.

    Keep a copy of the file of keys first. Where several machines work on one database, run `chaland vault prepare`
    and copy the file to all of them before.

    Example:  chaland vault rotate
    """
    from tqdm import tqdm

    from consent import rotation

    with _vault() as records:
        total = rotation.size(records.writes)
        with tqdm(total=total, unit=" rows", disable=not sys.stderr.isatty()) as progress:
            for rows in rotation.rotate(records.writes):
                progress.update(rows)
    typer.echo(
        f"{total} rows went to new keys; back up the keys and the database, then `chaland vault retire`"
    )


def prepare_vault() -> None:
    """Write new keys into the file, for the next `rotate`, so that it can be copied to other machines first."""
    from consent import rotation

    with _vault() as records:
        ids = rotation.prepare(records.writes)
    typer.echo(f"{', '.join(ids)}: in {read_settings().vault_keys}, not used yet")


def retire_vault() -> None:
    """Destroy the keys that no row needs any more: what older backups hold of people cannot be read afterwards."""
    from consent import rotation

    with _vault() as records:
        ids = rotation.retire(records.writes)
    typer.echo(f"destroyed: {', '.join(ids)}" if ids else "no key has been rotated out")


@contextlib.contextmanager
def _vault() -> Iterator[Any]:
    """The records store alone: the engine may be at work meanwhile."""
    from consent.keyring import KeyMissing, UnreadableKeys
    from engine.records import open_records
    from engine.schema import upgrade
    from engine.sealing import seal_existing

    settings = read_settings()
    records = open_records(settings.records_url, settings.vault_keys)
    try:
        upgrade(records)
        seal_existing(records)
        yield records
    except (KeyMissing, UnreadableKeys) as error:
        fail(str(error))
    finally:
        records.close()
