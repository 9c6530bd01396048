"""Landing: a file is known by its content, a killed run leaves nothing behind, and a file that vanishes keeps its rows."""

from __future__ import annotations

import errno
import itertools
import os
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from source_fixture import NOW, Shop, source

from cvm_pipeline.sources import landing
from cvm_pipeline.sources.errors import FileRefused, SourceError, SourceErrors
from cvm_pipeline.sources.finding import find_files
from cvm_pipeline.sources.ingest import Vanished, borrow_landed, land, landed, vanished_files, waiting_files
from cvm_pipeline.sources.landing import LandedFile, LandingZone

ORDERS = source("orders", "order_id ordered_at amount customer_id")
HEAD = "order_id,ordered_at,amount,customer_id\n"


def rows(*ids: str, amount: str = "5") -> str:
    return HEAD + "".join(f"{id_},2020-01-01,{amount},c\n" for id_ in ids)


def zone(shop: Shop) -> LandingZone:
    return LandingZone(shop.landing / "orders")


def standing(shop: Shop) -> dict[str, tuple[str, ...]]:
    """Hash of each standing content, and the names that hold it."""
    return {file.hash[:6]: file.names for file in zone(shop).files() if file.standing}


def folder(shop: Shop) -> dict[str, bytes]:
    """Everything in the landing zone; Parquet files by what they hold."""
    return {path.name: path.read_bytes() for path in sorted(zone(shop).folder.iterdir())}


def test_landing_the_same_files_again_adds_nothing(shop: Shop) -> None:
    shop.write("orders1.csv", rows("a"))
    first = shop.land(ORDERS)[0]
    before = folder(shop)
    again = shop.land(ORDERS)[0]
    assert (first.landed, first.known, again.landed, again.known) == (1, 0, 0, 1)
    assert folder(shop) == before


def test_one_content_under_two_names_is_one_content(shop: Shop) -> None:
    shop.write("orders1.csv", rows("a"))
    shop.write("orders2.csv", rows("a"))
    shop.run(ORDERS)
    assert list(standing(shop).values()) == [("orders1.csv", "orders2.csv")]
    assert shop.column("select order_id from clean.orders") == ["a"]
    assert waiting_files([ORDERS], shop.root, shop.landing) == []


def test_a_content_stands_as_long_as_any_of_its_names_holds_it(shop: Shop) -> None:
    shop.write("orders1.csv", rows("a"))
    shop.write("orders2.csv", rows("a"))
    shop.land(ORDERS)
    shop.write("orders2.csv", rows("b"))
    (shop.root / "orders1.csv").unlink()
    shop.run(ORDERS)
    assert sorted(shop.column("select order_id from clean.orders")) == ["a", "b"]


def test_a_file_whose_content_goes_a_b_a_ends_at_a(shop: Shop) -> None:
    states = []
    for content in (rows("a"), rows("b"), rows("a")):
        shop.write("orders.csv", content)
        shop.run(ORDERS)
        states.append(shop.column("select order_id from clean.orders"))
    assert states == [["a"], ["b"], ["a"]]
    audit = shop.rows("select rows_accepted, rows_superseded from clean.ingest_audit order by all")
    assert audit == [(0, 1), (1, 0)]


def test_a_file_that_vanishes_keeps_its_rows(shop: Shop) -> None:
    shop.write("orders1.csv", rows("a"))
    shop.write("orders2.csv", rows("b"))
    shop.land(ORDERS)
    (shop.root / "orders1.csv").unlink()
    report = shop.land(ORDERS)[0]
    shop.build(ORDERS)
    assert report.gone == ["orders1.csv"]
    assert sorted(shop.column("select order_id from clean.orders")) == ["a", "b"]


def test_a_source_without_any_file_is_refused_by_its_pattern(shop: Shop) -> None:
    with pytest.raises(SourceError, match=r"source orders: no file matches orders\*\.csv"):
        shop.land(ORDERS)


def test_copies_that_no_name_holds_any_more_are_removed(shop: Shop) -> None:
    shop.write("orders.csv", rows("a"))
    shop.land(ORDERS)
    shop.write("orders.csv", rows("b"))
    shop.land(ORDERS)
    kept = [file for file in zone(shop).files() if file.standing]
    assert sorted(folder(shop)) == sorted(
        ["manifest.json", zone(shop).records(kept[0]).name, zone(shop).rejects(kept[0]).name]
    )
    assert len(zone(shop).files()) == 2, "what was replaced stays in the accounts"


def test_drafts_and_copies_of_killed_runs_are_removed(shop: Shop) -> None:
    shop.write("orders.csv", rows("a"))
    shop.land(ORDERS)
    before = sorted(folder(shop))
    (zone(shop).folder / ".abc.parquet.12345").write_bytes(b"half")
    pq.write_table(pa.table({"a": [1]}), zone(shop).folder / "abc-def.parquet")
    shop.land(ORDERS)
    assert sorted(folder(shop)) == before


def test_the_same_bytes_read_otherwise_replace_what_they_were_read_as(shop: Shop) -> None:
    shop.write("orders.csv", rows("a").replace(",", ";"))
    wrong = source("orders", {"amount": "order_id;ordered_at;amount;customer_id"})
    shop.land(wrong)
    right = source("orders", "order_id ordered_at amount", reading=landing.Reading(delimiter=";"))
    shop.run(right)
    assert shop.column("select order_id from clean.orders") == ["a"]
    assert len(shop.rows("select * from clean.ingest_audit")) == 1


class Killed(BaseException):
    """What a killed process does to its own code: nothing more is run."""


def die_at(step: int, patched: pytest.MonkeyPatch) -> None:
    """Everything that touches the disk works until the given call, which kills the process."""
    calls = itertools.count(1)

    def dying(real: Callable) -> Callable:
        def call(*args: object, **more: object) -> object:
            if next(calls) == step:
                raise Killed
            return real(*args, **more)

        return call

    for owner, names in (
        (os, ("fsync",)),
        (Path, ("replace", "unlink", "mkdir", "iterdir", "write_text")),
        (pq, ("write_table",)),
        (pq.ParquetWriter, ("write_table",)),
    ):
        for name in names:
            patched.setattr(owner, name, dying(getattr(owner, name)))


def test_a_run_killed_at_any_step_and_started_again_ends_in_the_same_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def prepared(name: str) -> Shop:
        shop = Shop(tmp_path / name)
        for number in range(3):
            shop.write(f"orders{number}.csv", rows(f"o{number}") + ("bad,row\n" if number == 1 else ""))
        shop.land(ORDERS)
        shop.write("orders1.csv", rows("o1", amount="7"))
        shop.write("orders3.csv", rows("o3"))
        return shop

    whole = prepared("whole")
    whole.land(ORDERS)
    expected = folder(whole)
    steps = 0
    for step in range(1, 60):
        shop = prepared(f"at{step}")
        with monkeypatch.context() as patched:
            die_at(step, patched)
            try:
                shop.land(ORDERS)
            except Killed:
                steps += 1
            else:
                break
        with shop:
            shop.build(ORDERS)  # what a killed run leaves is sound by itself
        shop.land(ORDERS)
        assert folder(shop) == expected, step
    assert steps > 10


def test_a_full_disk_is_one_message_and_leaves_what_stood(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.write("orders1.csv", rows("a"))
    shop.land(ORDERS)
    before = folder(shop)
    shop.write("orders2.csv", rows("b"))

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    for owner, name in ((os, "fsync"), (pq.ParquetWriter, "write_table"), (Path, "replace")):
        with monkeypatch.context() as patched:
            patched.setattr(owner, name, full)
            with pytest.raises(SourceError, match=r"can't be written \(No space left on device\). Check free disk"):
                shop.land(ORDERS)
        assert folder(shop) == before
    shop.run(ORDERS)
    assert sorted(shop.column("select order_id from clean.orders")) == ["a", "b"]


def test_a_home_that_can_t_be_written_is_one_message(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.write("orders.csv", rows("a"))
    shop.write(".cvm/landing", "a file where the folder should be")
    with pytest.raises(SourceError, match=r"landing/orders: can't be written \(.*\). Check free disk and permissions"):
        shop.land(ORDERS)


def test_a_file_that_may_not_be_read_is_named(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = shop.write("orders.csv", rows("a"))
    real = Path.open

    def forbidden(path: Path, *args: object, **more: object) -> object:
        if path == closed:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return real(path, *args, **more)  # type: ignore[call-overload]

    monkeypatch.setattr(Path, "open", forbidden)
    with pytest.raises(FileRefused, match=r"orders\.csv: can't be read \(Permission denied\)"):
        shop.land(ORDERS)


def test_a_file_that_grows_while_it_is_read_is_read_again_once_it_rests(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = shop.write("orders.csv", rows("a"))
    monkeypatch.setattr(landing, "_PATIENCE_SECONDS", (0.0, 0.0))
    grown = iter(["b", "c"])
    real = landing.read_file

    def growing(*args: object) -> object:
        for id_ in grown:
            with path.open("a") as stream:
                stream.write(f"{id_},2020-01-01,5,c\n")
            break
        return real(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(landing, "read_file", growing)
    shop.run(ORDERS)
    assert sorted(shop.column("select order_id from clean.orders")) == ["a", "b", "c"]
    assert zone(shop).files()[0].bytes == path.stat().st_size


def test_a_file_that_never_rests_is_refused_and_its_neighbours_land(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = shop.write("orders1.csv", rows("a"))
    shop.write("orders2.csv", rows("b"))
    monkeypatch.setattr(landing, "_PATIENCE_SECONDS", (0.0, 0.0))
    real = landing.read_file

    def growing(found: Path, *args: object) -> object:
        if found == path:
            with path.open("a") as stream:
                stream.write("x,2020-01-01,5,c\n")
        return real(found, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(landing, "read_file", growing)
    with pytest.raises(FileRefused, match=r"orders1\.csv: changed while it was read \(from [\d,]+ to [\d,]+ bytes\)"):
        shop.land(ORDERS)
    assert [file.names for file in zone(shop).files()] == [("orders2.csv",)]


def test_half_a_file_is_judged_once_it_has_come_to_rest(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = (rows("a") + "é,2020-01-01,5,c\n").encode()
    path = shop.write("orders.csv", whole[:-17])
    monkeypatch.setattr(landing, "_PATIENCE_SECONDS", (0.0,))
    real = landing.read_file

    def read_and_meanwhile_written(*args: object) -> object:
        try:
            yield from real(*args)  # type: ignore[arg-type]
        finally:
            if path.stat().st_size < len(whole):
                path.write_bytes(whole)

    monkeypatch.setattr(landing, "read_file", read_and_meanwhile_written)
    with pytest.raises(FileRefused, match="cut or damaged"):
        list(real(path, "orders.csv", landing.Reading()))
    shop.run(ORDERS)
    assert sorted(shop.column("select order_id from clean.orders")) == ["a", "é"]


def test_every_refused_file_is_told_at_once_and_the_sound_ones_land(shop: Shop) -> None:
    shop.write("orders1.csv", b"order_id\n\xff\n")
    shop.write("orders2.csv", "\n1,2\n")
    shop.write("orders3.csv", rows("c"))
    with pytest.raises(SourceErrors) as caught:
        shop.land(ORDERS)
    assert [str(error).split(":")[0] for error in caught.value.errors] == ["orders1.csv", "orders2.csv"]
    assert [file.names for file in zone(shop).files()] == [("orders3.csv",)]


HOSTILE = (
    "orders it's.csv", 'orders "quoted".csv', "orders'; drop table clean.orders; --.csv", "orders 订单 😀.csv",
    "orders\nline.csv", "orders[1].csv", "orders*.csv", "orders %s {}.csv", "orders\\.csv",
)  # fmt: skip


def test_names_of_files_and_folders_are_data(tmp_path: Path) -> None:
    with Shop(tmp_path / "sh'op \"[1]* 行; drop") as shop:
        for number, name in enumerate(HOSTILE):
            shop.write(name, rows(f"o{number}") + "bad,row\n")
        spec = source("orders", {**ORDERS.columns, "channel": "_file"}, path="orders*.csv", name="or'ders; 行")
        shop.run(spec)
        assert sorted(shop.rows("select file, channel from clean.orders")) == sorted((name, name) for name in HOSTILE)
        assert sorted(shop.column("select file from clean.quarantine")) == sorted(HOSTILE)
        assert shop.column("select distinct source from clean.ingest_audit") == ["or'ders; 行"]


def test_a_name_of_bytes_that_are_no_text_is_shown_escaped(shop: Shop) -> None:
    shop.write(os.fsdecode(b"orders\xff.csv"), rows("a"))
    shop.run(ORDERS)
    assert shop.column("select file from clean.orders") == ["orders\\xff.csv"]


def test_the_shown_name_is_relative_to_the_project_wherever_that_lies(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "in" / "a.csv").write_text("x")
    assert [name for _, name in find_files("in/*.csv", tmp_path)] == ["in/a.csv"]
    assert [name for _, name in find_files("../in/*.csv", tmp_path / "out")] == ["../in/a.csv"]


SPELLINGS = (
    "in/*.csv",
    "./in/*.csv",
    "../shop/in/*.csv",
    "in/../in/*.csv",
    "{}/in/*.csv",
    "{}/../shop/in/*.csv",
    "in//a.csv",
)


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_file_has_one_name_however_the_configuration_spells_its_path(tmp_path: Path, spelling: str) -> None:
    root = tmp_path / "shop"
    (root / "in").mkdir(parents=True)
    (root / "in" / "a.csv").write_text("x")
    assert [name for _, name in find_files(spelling.format(root), root)] == ["in/a.csv"]


def test_a_symlink_keeps_its_name_and_one_to_the_project_changes_none(tmp_path: Path) -> None:
    root = tmp_path / "shop"
    (root / "in").mkdir(parents=True)
    (root / "in" / "january.csv").write_text("x")
    (root / "in" / "newest.csv").symlink_to("january.csv")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "b.csv").write_text("x")
    link = tmp_path / "elsewhere" / "link"
    link.parent.mkdir()
    link.symlink_to(root)
    assert [name for _, name in find_files("in/*.csv", link)] == ["in/january.csv", "in/newest.csv"]
    for spelling in ("../data/*.csv", str(tmp_path / "data" / "*.csv")):
        assert [name for _, name in find_files(spelling, link)] == ["../data/b.csv"], spelling


def test_another_spelling_of_the_path_makes_no_second_file_of_one(shop: Shop) -> None:
    shop.write("in/orders1.csv", rows("a"))
    shop.run(source("orders", ORDERS.columns, path="in/orders*.csv"))
    shop.write("in/orders1.csv", rows("b"))
    report = shop.land(source("orders", ORDERS.columns, path=str(shop.root / "in" / "*.csv")))[0]
    assert report.gone == []
    assert list(standing(shop).values()) == [("in/orders1.csv",)]


def test_a_name_that_an_earlier_manifest_spells_absolutely_is_the_same_file(shop: Shop) -> None:
    shop.write("in/orders1.csv", rows("a"))
    absolute = source("orders", ORDERS.columns, path=str(shop.root / "in" / "*.csv"))
    shop.land(absolute)
    text = zone(shop).manifest.read_text()
    zone(shop).manifest.write_text(text.replace('"in/orders1.csv"', f'"{shop.root}/in/orders1.csv"'))
    shop.write("in/orders1.csv", rows("b"))
    shop.run(absolute)
    assert list(standing(shop).values()) == [("in/orders1.csv",)]
    assert shop.column("select order_id from clean.orders") == ["b"]


def test_a_damaged_manifest_says_what_to_do(shop: Shop) -> None:
    shop.write("orders.csv", rows("a"))
    shop.land(ORDERS)
    for damage in ("[{", '[{"name": 1}]', "[1]"):
        zone(shop).manifest.write_text(damage)
        with pytest.raises(SourceError, match=r"manifest\.json: is damaged .*land its files again"):
            shop.land(ORDERS)


def test_waiting_files_are_those_not_landed_as_they_are(shop: Shop) -> None:
    shop.write("orders1.csv", rows("a"))
    shop.land(ORDERS)
    shop.write("orders1.csv", rows("a", "b"))
    shop.write("orders2.csv", rows("c"))
    assert [name for name, _, _ in waiting_files([ORDERS], shop.root, shop.landing)] == ["orders1.csv", "orders2.csv"]


def test_a_landed_file_is_named_by_its_content_and_its_reading() -> None:
    one = LandedFile("a", "f" * 64, "csv", 1, 1, 0, (), "")
    other = LandedFile("b", "f" * 64, "tsv", 1, 1, 0, (), "")
    assert one.stem != other.stem
    assert one.stem.startswith("f" * 32)


def test_files_that_are_gone_but_count_are_named_with_their_rows(shop: Shop) -> None:
    for name, content in (("orders1.csv", rows("a", "b")), ("orders2.csv", rows("c")), ("orders3.csv", rows("c"))):
        shop.write(name, content)
    shop.land(ORDERS)
    assert vanished_files([ORDERS], shop.root, shop.landing) == []
    (shop.root / "orders1.csv").unlink()
    (shop.root / "orders2.csv").unlink()
    shop.land(ORDERS)
    # The other's rows stand under a name that is still there.
    assert vanished_files([ORDERS], shop.root, shop.landing) == [Vanished("orders", "orders1.csv", 2)]
    shop.write("orders1.csv", HEAD)
    shop.land(ORDERS)
    assert vanished_files([ORDERS], shop.root, shop.landing) == []


def test_what_is_done_to_a_borrowed_landing_zone_changes_the_lender_in_nothing(shop: Shop) -> None:
    shop.write("orders1.csv", rows("a"))
    shop.write("orders2.csv", rows("b"))
    shop.land(ORDERS)
    (shop.root / "orders1.csv").unlink()
    shop.write("orders2.csv", rows("c"))
    before = folder(shop)
    scratch = shop.root / "scratch"
    borrow_landed([ORDERS], shop.landing, scratch)
    land([ORDERS], shop.root, scratch, NOW)
    (borrowed,) = landed([ORDERS], scratch)
    assert [part.file.name for part in borrowed.parts] == ["orders1.csv", "orders2.csv"]
    assert sum(pq.read_metadata(part.records).num_rows for part in borrowed.parts) == 2
    assert folder(shop) == before
