"""Stays against a plain reckoning: whatever states snapshots find, in whatever order they are made."""

from __future__ import annotations

import datetime as dt
import itertools
import random
from collections.abc import Iterator

import duckdb
import pytest

from cvm_pipeline.config.home import Home
from cvm_pipeline.domain.contracts import (
    CUSTOMER_STATE_HISTORY,
    CUSTOMER_VALUE_HISTORY,
    SEGMENT_PARAMETER,
    VALUE_CHANGE,
    Table,
)
from cvm_pipeline.domain.sql_text import literal
from cvm_pipeline.warehouse.state_history import write_state_history

IDS = ("ann", "bob", "cid", "dan")
DAYS = [dt.date(2024, month, 28) for month in range(1, 7)]
States = dict[tuple[str, str], str]
COLUMN = {"tier": "value_tier", "stage": "lifecycle_stage", "rfm": "rfm_segment", "warning": "warning_level",
          "value_matrix": "value_matrix"}  # fmt: skip
WORDS = {"tier": "ABC", "stage": ("new", "mature", "lost"), "rfm": ("Champions", "Lost", None),
         "warning": (None, "watch"), "value_matrix": ("star", "grow", None)}  # fmt: skip

STAY: States = {("ann", "stage"): "new", ("bob", "stage"): "new", ("ann", "tier"): "A"}
MOVED: States = {("ann", "stage"): "mature", ("bob", "stage"): "lost", ("ann", "tier"): "A"}


class Shop:
    """A standing version and a work file, as far as stays read them; `publish` is what a publication does to both."""

    def __init__(self, home: Home) -> None:
        self.home = home
        folder = home.versions / "2024-01-28T000000Z-0000"
        folder.mkdir(parents=True)
        self.file = folder / "warehouse.duckdb"
        with duckdb.connect(str(self.file)) as con:
            con.execute("create schema cvm")
            for table in (CUSTOMER_STATE_HISTORY, CUSTOMER_VALUE_HISTORY, SEGMENT_PARAMETER):
                con.execute(f"create table cvm.{table.name} ({_columns(table)})")
        self.con = duckdb.connect()
        self.con.execute("create schema candidate; create schema marts")
        self.con.execute(
            "create table marts.fct_customer_slices (slice_date date, customer_id varchar, transactions bigint, "
            'recency bigint, "T" bigint, revenue_total decimal(18,4), margin_total decimal(18,4), flag varchar)'
        )
        self.con.execute(f"create table candidate.value_change ({_columns(VALUE_CHANGE)})")
        self.published: list[dt.date] = []

    def publish(
        self, day: dt.date, states: States, *, on_grid: bool = True, rules: int = 1, corrected: tuple[str, ...] = ()
    ) -> None:
        memory = max((d for d in self.published if d < day), default=None)
        self._candidate(day, states, rules)
        self.con.execute("delete from marts.fct_customer_slices")
        if memory is not None:
            for id_ in IDS:
                row = [memory, id_, 2, 10, 20, 5, 4 if id_ in corrected else 3, None]
                self.con.execute("insert into marts.fct_customer_slices values (?, ?, ?, ?, ?, ?, ?, ?)", row)
        if self.published:
            self.home.current.parent.mkdir(parents=True, exist_ok=True)
            if not self.home.current.is_symlink():
                self.home.current.symlink_to(self.file.parent)
        write_state_history(self.con, self.home, day, memory, lambda at: at in DAYS)
        self._stand(day)
        if on_grid and day not in self.published:
            self.published.append(day)

    def _candidate(self, day: dt.date, states: States, rules: int) -> None:
        self.con.execute(f"create or replace table candidate.customer_value ({_columns(CUSTOMER_VALUE_HISTORY)})")
        for id_ in IDS:
            told = {COLUMN[scheme]: states.get((id_, scheme)) for scheme in COLUMN}
            row = told | {"as_of_date": day, "customer_id": id_, "transactions": 2, "recency": 10, "T": 20,
                          "revenue_total": 5, "margin_total": 3, "stage_reason": f"why {told['lifecycle_stage']}"}  # fmt: skip
            names = ", ".join(f'"{name}"' for name in row)
            self.con.execute(
                f"insert into candidate.customer_value ({names}) values ({', '.join('?' * len(row))})",
                list(row.values()),
            )
        self.con.execute(f"create or replace table candidate.segment_parameter ({_columns(SEGMENT_PARAMETER)})")
        self.con.execute(
            "insert into candidate.segment_parameter by name select ? as as_of_date, unnest(['tier', 'stage', 'rfm']) "
            "as scheme, 'rule_version' as parameter, ? as value",
            [day, rules],
        )

    def _stand(self, day: dt.date) -> None:
        self.con.execute(f"attach {literal(str(self.file))} as standing")
        self.con.execute(
            f"""delete from standing.cvm.customer_state_history where valid_to is null or valid_to >= date '{day}';
            insert into standing.cvm.customer_state_history by name from candidate.customer_state_history;
            delete from standing.cvm.customer_value_history where as_of_date = date '{day}';
            insert into standing.cvm.customer_value_history by name from candidate.customer_value;
            delete from standing.cvm.segment_parameter where as_of_date = date '{day}';
            insert into standing.cvm.segment_parameter by name from candidate.segment_parameter;
            detach standing"""
        )

    def rows(
        self, columns: str = "customer_id, scheme, valid_from, valid_to, state, previous"
    ) -> list[tuple[object, ...]]:
        with duckdb.connect(str(self.file), read_only=True) as con:
            return con.execute(
                f"select {columns} from cvm.customer_state_history order by customer_id, scheme, valid_from"
            ).fetchall()


def _columns(table: Table) -> str:
    return ", ".join(f'"{column.name}" {column.type}' for column in table.columns)


@pytest.fixture
def shop(home: Home) -> Iterator[Shop]:
    made = Shop(home)
    yield made
    made.con.close()


def drawn(seed: int) -> States:
    random_ = random.Random(seed)
    found = {(id_, scheme): random_.choice(list(WORDS[scheme])) for id_ in IDS for scheme in COLUMN}
    return {key: state for key, state in found.items() if state is not None}


def reckoned(history: dict[dt.date, States]) -> list[tuple[object, ...]]:
    """The stays of a history of states, by going through the days of each customer and scheme."""
    rows: list[tuple[object, ...]] = []
    days = sorted(history)
    for id_, scheme in itertools.product(IDS, COLUMN):
        state, since, previous = None, None, None
        for day in days:
            now = history[day].get((id_, scheme))
            if now == state:
                continue
            if state is not None:
                rows.append((id_, scheme, since, day, state, previous))
            state, since, previous = now, day, state
        if state is not None:
            rows.append((id_, scheme, since, None, state, previous))
    return sorted(rows, key=lambda row: (row[0], row[1], row[2]))


@pytest.mark.parametrize("seed", range(3))
def test_stays_are_those_of_the_snapshots_in_their_order(shop: Shop, seed: int) -> None:
    history = {day: drawn(100 * seed + number) for number, day in enumerate(DAYS)}
    for day, states in history.items():
        shop.publish(day, states)
    assert shop.rows() == reckoned(history)


def test_a_snapshot_made_again_states_its_stays_and_the_later_ones_anew(shop: Shop) -> None:
    history = {day: drawn(number) for number, day in enumerate(DAYS)}
    for day, states in history.items():
        shop.publish(day, states)
    for day in (DAYS[2], DAYS[0], DAYS[-1]):
        history[day] = drawn(1000 + day.month)
        shop.publish(day, history[day])
        assert shop.rows() == reckoned(history)


def test_a_later_move_that_only_the_correction_made_says_so_and_others_keep_their_cause(shop: Shop) -> None:
    shop.publish(DAYS[0], STAY)
    shop.publish(DAYS[1], MOVED)
    shop.publish(DAYS[2], MOVED | {("ann", "tier"): "B"}, rules=2)
    shop.publish(DAYS[1], STAY)
    assert causes(shop, DAYS[2]) == {"ann": "corrected data", "bob": "corrected data"}
    assert ("ann", "tier", DAYS[2], "rule change") in shop.rows("customer_id, scheme, valid_from, cause")


def test_a_snapshot_filled_in_between_others_finds_its_place(shop: Shop) -> None:
    history = {day: drawn(number) for number, day in enumerate(DAYS)}
    for day in (DAYS[0], DAYS[3], DAYS[1], DAYS[5], DAYS[2], DAYS[4]):
        shop.publish(day, history[day])
    assert shop.rows() == reckoned(history)


def test_a_snapshot_filled_in_between_corrects_nothing(shop: Shop) -> None:
    shop.publish(DAYS[0], STAY)
    shop.publish(DAYS[2], STAY)
    shop.publish(DAYS[1], MOVED)
    assert causes(shop, DAYS[2]) == {"ann": "behaviour", "bob": "behaviour"}


def test_publishing_the_same_snapshot_twice_changes_nothing(shop: Shop) -> None:
    for number, day in enumerate(DAYS[:3]):
        shop.publish(day, drawn(number))
    before = shop.rows("*")
    shop.publish(DAYS[2], drawn(2))
    assert shop.rows("*") == before


def test_a_snapshot_off_the_grid_leaves_all_stays_as_they_are(shop: Shop) -> None:
    for number, day in enumerate(DAYS[:3]):
        shop.publish(day, drawn(number))
    before = shop.rows("*")
    for day in (dt.date(2024, 2, 10), dt.date(2024, 4, 1)):
        shop.publish(day, drawn(77), on_grid=False)
        assert shop.rows("*") == before


def causes(shop: Shop, day: dt.date) -> dict[object, object]:
    return {
        row[0]: row[2]
        for row in shop.rows("customer_id, valid_from, cause, scheme")
        if row[1] == day and row[3] == "stage"
    }


def test_a_move_of_tier_is_the_models_where_the_model_moved_value_by_more_than_all_else(shop: Shop) -> None:
    shop.publish(DAYS[0], {(id_, scheme): "A" for id_ in ("ann", "bob") for scheme in ("tier", "stage")})
    shop.con.execute(
        "insert into candidate.value_change by name select unnest(['ann', 'bob']) as customer_id, "
        "unnest([-9, -9]) as change, unnest([-5, -4]) as model"
    )
    shop.publish(DAYS[1], {(id_, scheme): "B" for id_ in ("ann", "bob") for scheme in ("tier", "stage")})
    found = shop.rows("customer_id, scheme, cause, valid_from")
    assert [row[:3] for row in found if row[3] == DAYS[1]] == [
        ("ann", "stage", "behaviour"), ("ann", "tier", "model"), ("bob", "stage", "behaviour"), ("bob", "tier", "behaviour"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, {"ann": "behaviour", "bob": "behaviour"}),
        ({"rules": 2}, {"ann": "rule change", "bob": "rule change"}),
        ({"corrected": ("bob",)}, {"ann": "behaviour", "bob": "corrected data"}),
    ],
)
def test_a_move_has_the_cause_that_it_came_with(
    shop: Shop, changed: dict[str, object], expected: dict[str, str]
) -> None:
    shop.publish(DAYS[0], STAY)
    shop.publish(DAYS[1], MOVED, **changed)  # type: ignore[arg-type]
    assert causes(shop, DAYS[1]) == expected


def test_rules_that_changed_long_ago_are_no_cause_of_a_later_move(shop: Shop) -> None:
    shop.publish(DAYS[0], STAY)
    shop.publish(DAYS[1], STAY, rules=2)
    shop.publish(DAYS[2], MOVED, rules=2)
    assert causes(shop, DAYS[2]) == {"ann": "behaviour", "bob": "behaviour"}


def test_a_stay_keeps_its_first_reason_and_rules_while_it_lasts(shop: Shop) -> None:
    shop.publish(DAYS[0], STAY)
    shop.publish(DAYS[1], STAY, rules=2)
    assert ("ann", "stage", "why new", 1, None) in shop.rows("customer_id, scheme, reason, rule_version, valid_to")


def test_a_version_without_stays_gets_those_of_its_snapshots(shop: Shop) -> None:
    history = {day: drawn(number) for number, day in enumerate(DAYS)}
    for day in DAYS[:4]:
        shop.publish(day, history[day])
    with duckdb.connect(str(shop.file)) as con:
        con.execute("drop table cvm.customer_state_history")
    write_state_history(shop.con, shop.home, DAYS[3], DAYS[2], lambda at: at in DAYS)
    made = shop.con.execute(
        "select customer_id, scheme, valid_from, valid_to, state, previous from candidate.customer_state_history "
        "order by customer_id, scheme, valid_from"
    ).fetchall()
    assert made == reckoned({day: history[day] for day in DAYS[:4]})
