"""One entry of `sources`: which files, how they are read, and what their columns mean.

Belongs here: the shape of an entry and the rules of single values. Not here: rules between keys and against the
entity's contract (`source_rules.py`), nor anything that opens a file.
"""

from __future__ import annotations

import codecs
import hashlib
import json
import re
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, field_validator

from cvm_pipeline.config.entity_names import ENTITIES, LATER_ENTITIES
from cvm_pipeline.config.errors import did_you_mean
from cvm_pipeline.config.section import Currency, Section, Word, Zone, wrong

Format = Literal["csv", "tsv", "jsonl", "parquet", "xlsx"]
FORMATS: tuple[Format, ...] = get_args(Format)
TEXT_FORMATS = ("csv", "tsv")

_FORMAT_OF: dict[str, Format] = {
    "csv": "csv", "txt": "csv", "tsv": "tsv", "tab": "tsv", "jsonl": "jsonl", "ndjson": "jsonl",
    "parquet": "parquet", "pq": "parquet", "xlsx": "xlsx",
}  # fmt: skip
_SQL_TYPE = re.compile(
    r"(tinyint|smallint|integer|int|bigint|hugeint|double|float|real|boolean|bool|date|time|timestamp|timestamptz"
    r"|timestamp with time zone|varchar|text|(decimal|numeric)\s*(\(\s*\d{1,2}\s*(,\s*\d{1,2}\s*)?\))?)"
)


def format_of(path: str) -> Format | None:
    """The format that a file's name tells, or None."""
    name = path.casefold().removesuffix(".gz")
    return _FORMAT_OF.get(name.rpartition(".")[2])


def _format(given: Any, info: ValidationInfo) -> Any:
    if given is None:
        told = format_of(info.data.get("path", ".csv"))
        if told is None:
            raise wrong("the file's name doesn't tell its format", "write format: " + ", ".join(FORMATS))
        return told
    return given


def _encoding(name: str) -> str:
    try:
        "".encode(codecs.lookup(name).name)
    except LookupError as error:
        raise wrong(f"there is no encoding {name!r}", "such as utf-8, gb18030, big5, latin-1 or utf-16") from error
    return name


def _delimiter(text: str) -> str:
    text = {"tab": "\t", "\\t": "\t"}.get(text, text)
    if text != "whitespace" and len(text) != 1:
        raise wrong(f"{text!r} is no delimiter", 'one character, tab or whitespace, such as ";"')
    return text


def _sql_type(text: str) -> str:
    folded = " ".join(text.casefold().split())
    if not _SQL_TYPE.fullmatch(folded):
        raise wrong(
            f"{text!r} is no type for a column", "such as integer, bigint, double, decimal(18,4), date, timestamp"
        )
    return folded


def _regex_with_a_group(text: str) -> str:
    try:
        groups = re.compile(text).groups
    except re.error as error:
        raise wrong(f"not a regular expression: {error}") from error
    if groups != 1:
        raise wrong(
            f"the pattern must hold one group around the date, it holds {groups}", r"such as (\d{4}-\d{2}-\d{2})"
        )
    return text


def _entity(name: str) -> str:
    if name in LATER_ENTITIES:
        raise wrong(f"{name} are not read yet by this version", "leave the source out for now")
    if name not in ENTITIES:
        raise wrong(f"there is no entity {name!r}", did_you_mean(name, tuple(ENTITIES)))
    return name


def _source_name(name: str) -> str:
    # It names a folder of the landing zone and a table: letters of any script will do, separators won't.
    if not re.fullmatch(r"\w[\w-]{0,63}", name):
        raise wrong(f"{name!r} can't name a source", "letters, digits, _ and -, at most 64")
    return name


def _system(name: str) -> str:
    if ":" in name:
        raise wrong("a system's name holds no colon", "the published id is system:customer_id")
    return name


def _alias(aliases: dict[str, Join]) -> dict[str, Join]:
    for alias in aliases:
        if not re.fullmatch(r"[^\W\d]\w*", alias):
            raise wrong(f"{alias!r} can't name a join", "letters, digits and _")
    return aliases


OneCharacter = Annotated[str, Field(max_length=1)]


class Read(Section):
    """How a file is read. A delimiter of None is the format's own; a quote of '' means that nothing is quoted."""

    delimiter: Annotated[str, AfterValidator(_delimiter)] | None = None
    encoding: Annotated[str, AfterValidator(_encoding)] = "utf-8"
    header: bool = True
    names: tuple[Word, ...] = ()
    quote: OneCharacter = '"'
    sheet: Word | None = None
    skip_rows: int = Field(default=0, ge=0)

    @field_validator("names")
    @classmethod
    def _each_once(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise wrong(f"{', '.join(twice)}: given more than once")
        return names


class EffectiveAt(Section):
    """The date in a file's name: `pattern` has one group around it, `format` (strptime) reads it; None is ISO 8601."""

    pattern: Annotated[str, AfterValidator(_regex_with_a_group)]
    format: Word | None = None


class Join(Section):
    """A file whose columns the expressions may use as `alias.column`; `on` is an SQL condition."""

    path: Word
    format: Annotated[Format, BeforeValidator(_format)] = Field(default=None)  # type: ignore[arg-type]
    read: Read = Read()
    on: Word


class Source(Section):
    """One entry of `sources`, every default filled in. `columns` maps a canonical column to a name or an expression."""

    entity: Annotated[str, AfterValidator(_entity)]
    name: Annotated[str, AfterValidator(_source_name)]
    path: Word
    format: Annotated[Format, BeforeValidator(_format)] = Field(default=None)  # type: ignore[arg-type]
    read: Read = Read()
    types: dict[str, Annotated[str, AfterValidator(_sql_type)]] = Field(default_factory=dict)
    columns: dict[str, Annotated[str, Field(min_length=1)]]
    where: Word | None = None
    values: dict[str, dict[str, str]] = Field(default_factory=dict)
    join: Annotated[dict[str, Join], AfterValidator(_alias)] = Field(default_factory=dict)
    lines: Literal["replace", "append"] = "replace"
    effective_at: EffectiveAt | None = None
    timezone: Zone | None = None
    source_system: Annotated[Word, AfterValidator(_system)] = "default"
    currency: Currency | None = None

    @field_validator("effective_at", mode="before")
    @classmethod
    def _pattern_alone(cls, given: Any) -> Any:
        return {"pattern": given} if isinstance(given, str) else given

    @property
    def config_hash(self) -> str:
        """Hash of all that decides what becomes of this source's rows."""
        return digest(self.model_dump(mode="json"))


def digest(value: Any) -> str:
    """SHA-256 of a JSON value, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, ensure_ascii=False).encode()).hexdigest()
