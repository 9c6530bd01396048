"""Row accounting: what became of every row read, and the quarantine with each refused row's reason.

Writes clean.ingest_audit and clean.quarantine. Not here: deciding what is wrong with a row (`casts.py`, `mapping.py`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa

from cvm_pipeline.sources.entities import ENTITIES
from cvm_pipeline.sources.errors import QuarantineTooLarge, RowsDoNotBalance
from cvm_pipeline.sources.landing import LINE
from cvm_pipeline.sources.sql import first_row, literal, quoted
from cvm_pipeline.sources.standing import losers_table

if TYPE_CHECKING:
    from cvm_pipeline.sources.clean import LandedSource
    from cvm_pipeline.sources.mapping import LandedPart

_FILES = pa.schema(
    [("source", pa.string()), ("entity", pa.string()), ("file", pa.string()), ("file_hash", pa.string()),
     ("rows", pa.int64()), ("rejected", pa.int64()), ("forgotten", pa.int64()), ("landed_at", pa.string()), ("role", pa.string())]
)  # fmt: skip


@dataclass(frozen=True)
class Accounts:
    """Sums over all sources and files."""

    read: int
    accepted: int
    quarantined: int
    duplicate: int
    filtered: int
    superseded: int


def account(con: duckdb.DuckDBPyConnection, sources: Sequence[LandedSource], now: dt.datetime) -> Accounts:
    """Write the audit and the quarantine. Raises RowsDoNotBalance naming the first file that doesn't add up."""
    files = [row for source in sources for row in _files_of(source)]
    con.register("_audited", pa.Table.from_pylist(files, schema=_FILES))
    con.execute(f"create or replace table clean.ingest_audit as {_audit_sql()}")
    con.unregister("_audited")
    _write_quarantine(con, sources, now)
    wrong = first_row(
        con,
        """
        select source, file, rows_read, rows_accepted + rows_quarantined + rows_duplicate + rows_filtered + rows_superseded
        from clean.ingest_audit
        where rows_read <> rows_accepted + rows_quarantined + rows_duplicate + rows_filtered + rows_superseded
           or rows_accepted < 0
        limit 1
    """,
    )
    if wrong is not None:
        raise RowsDoNotBalance(
            f"source {wrong[0]}, {wrong[1]}: {wrong[2]} rows read, {wrong[3]} accounted for. This is a fault of the pipeline:"
            " please report it with the file's first lines; nothing was published"
        )
    row = first_row(
        con,
        """
        select coalesce(sum(rows_read), 0), coalesce(sum(rows_accepted), 0), coalesce(sum(rows_quarantined), 0),
               coalesce(sum(rows_duplicate), 0), coalesce(sum(rows_filtered), 0), coalesce(sum(rows_superseded), 0)
        from clean.ingest_audit
    """,
    )
    return Accounts(*map(int, row or (0,) * 6))


def _files_of(source: LandedSource) -> list[dict[str, object]]:
    def row(part: LandedPart, name: str, entity: str, role: str) -> dict[str, object]:
        file = part.file
        return {"source": name, "entity": entity, "file": file.name, "file_hash": file.hash, "rows": file.rows,
                "rejected": file.rejected, "forgotten": file.forgotten, "landed_at": file.landed_at, "role": role}  # fmt: skip

    spec = source.spec
    return [
        *(row(part, spec.name, spec.entity, "standing") for part in source.parts),
        *(row(part, spec.name, spec.entity, "replaced") for part in source.replaced),
        *(
            row(part, f"{spec.name}.{alias}", "lookup", "lookup")
            for alias, parts in source.lookups.items()
            for part in parts
        ),
    ]


def _audit_sql() -> str:
    counts = " union all ".join(
        f"""select r._source as source, r._hash as file_hash, count(*) as mapped,
                   count(*) filter (where r._filtered) as filtered, count(*) filter (where r._bad is not null) as bad,
                   count(*) filter (where x._fate = 'duplicate' and r._bad is null) as duplicate,
                   count(*) filter (where x._fate = 'superseded' and r._bad is null) as superseded
            from landing.{quoted(entity.name)} r left join {losers_table(entity)} x using (_rank, _line)
            group by r._source, r._hash"""
        for entity in ENTITIES.values()
    )
    # A replaced content was read once and stands nowhere; a look-up's records are all at hand. Rows of a forgotten person
    # were read and dropped before anything kept them.
    return f"""
        with counts as ({counts})
        select f.source, f.file_hash, f.entity, f.file, f.rows + f.rejected + f.forgotten as rows_read,
               case f.role when 'standing' then coalesce(c.mapped - c.filtered - c.bad - c.duplicate - c.superseded, 0)
                           when 'lookup' then f.rows else 0 end as rows_accepted,
               case f.role when 'standing' then f.rejected + coalesce(c.bad, 0) when 'lookup' then f.rejected else 0 end
                   as rows_quarantined,
               case f.role when 'standing' then coalesce(c.duplicate, 0) else 0 end as rows_duplicate,
               f.forgotten + case f.role when 'standing' then coalesce(c.filtered, 0) else 0 end as rows_filtered,
               case f.role when 'standing' then coalesce(c.superseded, 0) when 'replaced' then f.rows + f.rejected else 0 end
                   as rows_superseded,
               cast(f.landed_at as timestamp) as landed_at
        from _audited f left join counts c on f.role = 'standing' and c.source = f.source and c.file_hash = f.file_hash
    """


def _write_quarantine(con: duckdb.DuckDBPyConnection, sources: Sequence[LandedSource], now: dt.datetime) -> None:
    con.execute("""
        create or replace table clean.quarantine (
            source varchar, entity varchar, file varchar, line bigint, raw varchar, rule varchar, detail varchar,
            quarantined_at timestamp)
    """)
    stamp = literal(now.replace(tzinfo=None).isoformat(sep=" "))
    for source in sources:
        spec = source.spec
        lookups = [
            (f"{spec.name}.{alias}", "lookup", part) for alias, parts in source.lookups.items() for part in parts
        ]
        for name, entity, part in (*((spec.name, spec.entity, part) for part in source.parts), *lookups):
            if part.file.rejected:
                rejects = str(part.records).removesuffix(".parquet") + ".rejects.parquet"
                con.execute(f"""
                    insert into clean.quarantine
                    select {literal(name)}, {literal(entity)}, {literal(part.file.name)}, line, raw, rule, detail,
                           timestamp {stamp}
                    from read_parquet({literal(rejects)})
                """)
        _quarantine_mapped(con, source, stamp)


def _quarantine_mapped(con: duckdb.DuckDBPyConnection, source: LandedSource, stamp: str) -> None:
    """Rows that were parsed and then refused, with their text written again as it was delimited."""
    spec = source.spec
    bad = f"from landing.{quoted(spec.entity)} where _bad is not null and _source = {literal(spec.name)}"
    hashes = {row[0] for row in con.execute(f"select distinct _hash {bad}").fetchall()}
    delimiter = {"whitespace": " ", None: "\t" if spec.reading.format == "tsv" else ","}.get(
        spec.reading.delimiter, spec.reading.delimiter or ","
    )
    for part in source.parts:
        if part.file.hash not in hashes:
            continue
        fields = ", ".join(_as_written(f"t.{quoted(name)}", delimiter) for name in part.file.columns)
        con.execute(f"""
            insert into clean.quarantine
            select {literal(spec.name)}, {literal(spec.entity)}, b._file, b._line,
                   concat_ws({literal(delimiter)}, {fields}), split_part(b._bad, chr(31), 1), split_part(b._bad, chr(31), 2),
                   timestamp {stamp}
            from (select _file, _line, _bad {bad} and _hash = {literal(part.file.hash)}) b
            join read_parquet({literal(str(part.records))}) t on t.{LINE} = b._line
        """)


def _as_written(column: str, delimiter: str) -> str:
    needs = f"contains({column}, {literal(delimiter)}) or contains({column}, '\"') or contains({column}, chr(10))"
    return f"case when {needs} then '\"' || replace({column}, '\"', '\"\"') || '\"' else coalesce({column}, '') end"


def refuse_large_quarantine(con: duckdb.DuckDBPyConnection, allowed: float) -> None:
    """Raises QuarantineTooLarge for each source with more than the allowed share, with its commonest reasons.

    Contents that others have replaced whole are out of the share: a mended file must not be judged by what it mended.
    """
    large = con.execute(
        """
        select source, sum(rows_quarantined), sum(rows_read) from clean.ingest_audit
        where rows_superseded < rows_read
        group by source having sum(rows_quarantined) > ? * sum(rows_read) order by source
        """,
        [allowed],
    ).fetchall()
    if not large:
        return
    messages = []
    for source, refused, read in large:
        reasons = con.execute(
            """
            select rule, count(*) as n, arg_min(file || ':' || line || ' ' || detail, (file, line)) as example
            from clean.quarantine where source = ? group by rule order by n desc, rule limit 3
            """,
            [source],
        ).fetchall()
        told = "; ".join(f"{rule} x {n} (such as {example})" for rule, n, example in reasons)
        messages.append(
            f"source {source}: {refused:,} of {read:,} rows are quarantined ({refused / read:.1%}, allowed {allowed:.1%}): {told}."
            " Mend the mapping or the files, or raise quality.max_quarantine_share; the earlier publication stands"
        )
    raise QuarantineTooLarge("\n".join(messages))
