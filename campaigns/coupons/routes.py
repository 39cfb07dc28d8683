"""The coupon API: pools, and the codes that are put into them. Codes go in and never come out here."""

import csv
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Body, Path, Query, Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from sqlalchemy import Engine

from campaigns.coupons import store as coupon_store
from campaigns.coupons.coupon import CODE_RULE, DEFAULT_ALERT_BELOW, Pool
from campaigns.coupons.store import Imported, Stock
from campaigns.errors import CampaignError, FieldError
from campaigns.form import ID_PATTERN, Line
from campaigns.times import Instant

MAX_CODES = 50_000
"""Of one import, or made at once."""
MAX_PAGE = 200
MAX_CODE_CHARS = 200
"""Longer lines are not even looked at; a code is shorter by far."""
CSV = "text/csv"

PoolId = Annotated[str, Path(pattern=ID_PATTERN, description="The pool's id, of your choice")]
Limit = Annotated[int, Query(ge=1, le=MAX_PAGE)]
Cursor = Annotated[str | None, Query(max_length=500, description="`next` of the page before")]
_STRICT = ConfigDict(extra="forbid", strict=True)


class InvalidCsv(CampaignError):
    """The body is no list of codes."""

    status = 422
    code = "invalid_csv"


class PoolForm(BaseModel):
    """A pool of codes of one kind."""

    model_config = ConfigDict(
        **_STRICT,
        json_schema_extra={
            "examples": [{"name": "Bread 10%", "alert_below": 100, "expires_at": "2026-12-24T23:00:00Z"}]
        },
    )
    name: Line
    alert_below: Annotated[
        int, Field(ge=0, le=1_000_000, description="An alarm is raised when fewer codes are left.")
    ] = DEFAULT_ALERT_BELOW
    expires_at: Annotated[
        Instant | None, Field(description="From then on no code is given out, nor taken at a till.")
    ] = None


class CodesForm(BaseModel):
    """Codes to add; `line` in the answer counts them from 1."""

    model_config = ConfigDict(
        **_STRICT, json_schema_extra={"examples": [{"codes": ["BREAD-7K2M", "BREAD-9QXW"]}]}
    )
    codes: Annotated[
        list[Annotated[str, StringConstraints(max_length=MAX_CODE_CHARS)]],
        Field(min_length=1, max_length=MAX_CODES),
    ]


class GenerateForm(BaseModel):
    """Codes to make at random: `prefix`, then `length` letters and digits."""

    model_config = ConfigDict(
        **_STRICT, json_schema_extra={"examples": [{"count": 1000, "length": 8, "prefix": "BREAD-"}]}
    )
    count: Annotated[int, Field(ge=1, le=MAX_CODES)]
    length: Annotated[int, Field(ge=8, le=16)] = 8
    prefix: Annotated[str, StringConstraints(pattern=r"^([A-Za-z0-9][A-Za-z0-9-]{0,7})?$")] = ""


def router(*, reads: Engine, writes: Engine, now: Callable[[], datetime]) -> APIRouter:
    """The routes of coupon pools."""
    api = APIRouter(tags=["coupons"])
    _add_pools(api, reads, writes, now)
    _add_codes(api, writes)
    return api


def _add_pools(api: APIRouter, reads: Engine, writes: Engine, now: Callable[[], datetime]) -> None:
    @api.put(
        "/v1/coupon-pools/{pool_id}",
        operation_id="putCouponPool",
        summary="Save a coupon pool; its codes stay",
        responses={200: _example(_STOCK), 201: _example(_STOCK)},
    )
    def put(pool_id: PoolId, form: PoolForm, response: Response) -> dict[str, Any]:
        with writes.begin() as connection:
            is_new = coupon_store.put_pool(
                connection, Pool(pool_id, form.name, form.alert_below, form.expires_at), now()
            )
            pool = coupon_store.get_pool(connection, pool_id)
            [stock] = coupon_store.stock_of(connection, [pool])
        response.status_code = 201 if is_new else 200
        return stock_json(stock, now())

    @api.get(
        "/v1/coupon-pools/{pool_id}",
        operation_id="getCouponPool",
        summary="A coupon pool, and how many of its codes are left",
        responses={200: _example(_STOCK)},
    )
    def get(pool_id: PoolId) -> dict[str, Any]:
        with reads.connect() as connection:
            [stock] = coupon_store.stock_of(connection, [coupon_store.get_pool(connection, pool_id)])
        return stock_json(stock, now())

    @api.get(
        "/v1/coupon-pools",
        operation_id="listCouponPools",
        summary="Coupon pools, by id",
        responses={200: _example({"items": [_STOCK], "next": None})},
    )
    def page(limit: Limit = 50, cursor: Cursor = None) -> dict[str, Any]:
        with reads.connect() as connection:
            found = coupon_store.pools_page(connection, limit, cursor)
            stocks = coupon_store.stock_of(connection, found.items)
        return {"items": [stock_json(stock, now()) for stock in stocks], "next": found.next}

    @api.delete(
        "/v1/coupon-pools/{pool_id}",
        operation_id="deleteCouponPool",
        summary="Delete a pool none of whose codes was sent",
        status_code=204,
    )
    def delete(pool_id: PoolId) -> None:
        with writes.begin() as connection:
            coupon_store.delete_pool(connection, pool_id)


def _add_codes(api: APIRouter, writes: Engine) -> None:
    @api.post(
        "/v1/coupon-pools/{pool_id}/codes",
        operation_id="addCouponCodes",
        summary="Add codes of your own",
        responses={200: _example(_IMPORTED)},
    )
    def add(pool_id: PoolId, form: CodesForm) -> dict[str, Any]:
        with writes.begin() as connection:
            return imported_json(
                coupon_store.import_codes(connection, pool_id, enumerate(form.codes, start=1))
            )

    @api.post(
        "/v1/coupon-pools/{pool_id}/import",
        operation_id="importCouponCodes",
        summary="Add codes from a CSV file: one a line, or a column named code",
        responses={200: _example(_IMPORTED)},
    )
    def take_file(
        pool_id: PoolId,
        body: Annotated[bytes, Body(media_type=CSV, examples=["code\nBREAD-7K2M\nBREAD-9QXW\n"])],
    ) -> dict[str, Any]:
        lines = list(codes_of_csv(body))
        with writes.begin() as connection:
            return imported_json(coupon_store.import_codes(connection, pool_id, lines))

    @api.post(
        "/v1/coupon-pools/{pool_id}/generate",
        operation_id="generateCouponCodes",
        summary="Make codes at random; only shoppers will see them",
        responses={200: _example({"generated": 1000})},
    )
    def generate(pool_id: PoolId, form: GenerateForm) -> dict[str, Any]:
        with writes.begin() as connection:
            made = coupon_store.generate_codes(connection, pool_id, form.count, form.length, form.prefix)
        return {"generated": made}


def codes_of_csv(body: bytes) -> Iterator[tuple[int, str]]:
    """The codes of a CSV file in UTF-8, each with the number of its line; a comma or semicolon parts the columns. Empty
    lines are passed over. Raises `InvalidCsv`.
    """
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise _invalid("must be UTF-8") from None
    lines = text.splitlines()
    first, head = next(((at, line) for at, line in enumerate(lines, start=1) if line.strip()), (0, ""))
    if not head:
        raise _invalid(f"one code a line is expected; {CODE_RULE}")
    apart = ";" if ";" in head else ","
    try:
        names = [name.strip().lower() for name in next(csv.reader([head], delimiter=apart))]
    except csv.Error:
        raise _invalid(f"line {first} cannot be read") from None
    if "code" not in names and len(names) > 1:
        raise _invalid("of several columns one must be named code, in the first line")
    column = names.index("code") if "code" in names else 0
    rows, found = csv.reader(lines, delimiter=apart), 0
    try:
        for row in rows:
            if not any(map(str.strip, row)) or (rows.line_num == first and "code" in names):
                continue
            found += 1
            if found > MAX_CODES:
                raise _invalid(f"at most {MAX_CODES} codes are taken at once; send the file in parts")
            yield rows.line_num, row[column].strip()[:MAX_CODE_CHARS] if column < len(row) else ""
    except csv.Error:
        raise _invalid(f"line {rows.line_num} cannot be read") from None


def stock_json(stock: Stock, now: datetime) -> dict[str, Any]:
    """A pool and its stock as the API writes it."""
    pool = stock.pool
    return {
        "id": pool.id,
        "name": pool.name,
        "alert_below": pool.alert_below,
        "expires_at": pool.expires_at.isoformat() if pool.expires_at else None,
        "codes": {state.value: count for state, count in stock.codes.items()},
        "low": stock.is_low(now),
    }


def imported_json(told: Imported) -> dict[str, Any]:
    """What became of an import, as the API writes it."""
    return {
        "imported": told.imported,
        "known": told.known,
        "rejected_total": told.rejected_total,
        "rejected": [{"line": line, "detail": detail} for line, detail in told.rejected],
    }


def _invalid(said: str) -> InvalidCsv:
    return InvalidCsv(f"body: {said}", (FieldError("body", said),))


def _example(example: Any) -> dict[str, Any]:
    return {"content": {"application/json": {"example": example}}}


_STOCK = {
    "id": "bread",
    "name": "Bread 10%",
    "alert_below": 100,
    "expires_at": "2026-12-24T23:00:00+00:00",
    "codes": {"free": 912, "claimed": 80, "redeemed": 8, "void": 0},
    "low": False,
}
_IMPORTED = {
    "imported": 998,
    "known": 1,
    "rejected_total": 1,
    "rejected": [{"line": 7, "detail": f"a code has {CODE_RULE}"}],
}
