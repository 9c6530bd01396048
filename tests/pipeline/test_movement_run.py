"""A run's cohorts, moves between two snapshots, value matrix and pictures, against the published customers themselves."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from decimal import Decimal
from statistics import median

import pytest

APRIL, MAY = dt.date(2024, 4, 30), dt.date(2024, 5, 31)


def _told(shop, as_of: dt.date, scheme: str) -> dict[str, float]:
    return dict(
        shop.ask(
            "select parameter, value from cvm.segment_parameter where as_of_date = ? and scheme = ?", as_of, scheme
        )
    )


@pytest.mark.parametrize(
    ("table", "column"), [("stage_transitions", "lifecycle_stage"), ("tier_transitions", "value_tier")]
)
def test_moves_are_those_between_the_two_published_snapshots(shop, table, column):
    rows = shop.ask(
        f"select customer_id, as_of_date, {column}, total_value, is_excluded from cvm.customer_value_history"
    )
    then = {customer: state for customer, day, state, *_ in rows if day == APRIL}
    now = [(customer, state, value) for customer, day, state, value, excluded in rows if day == MAY and not excluded]
    customers = Counter((then.get(customer, "entry"), state) for customer, state, _ in now)
    value: dict[tuple[str, str], Decimal] = Counter()
    for customer, state, worth in now:
        value[then.get(customer, "entry"), state] += worth
    found = shop.ask(
        f'select "from", "to", customers, value_moved, probability from cvm.{table} where as_of_date = ?', MAY
    )
    assert {(came, went): (n, worth) for came, went, n, worth, _ in found} == {
        move: (n, value[move]) for move, n in customers.items()
    }
    of = Counter()
    for (came, _), n in customers.items():
        of[came] += n
    assert all(p == pytest.approx(n / of[came], rel=1e-12) for came, _, n, _, p in found)
    assert len(found) > 3 and len(of) > 1, "the shop must be worth counting"
    assert shop.column(f"select count(*) from cvm.{table} where as_of_date = '{APRIL}'") == [0]


def test_the_chain_rests_on_the_moves_of_the_grid_and_is_silent_before_there_are_any(shop):
    for scheme, table in (("stage", "stage_transitions"), ("tier", "tier_transitions")):
        ((moved,),) = shop.ask(
            f"""select sum(customers) from cvm.{table} where as_of_date = ? and "from" <> 'entry'""", MAY
        )
        told = _told(shop, MAY, scheme)
        assert told["transitions_pooled_count"] == moved
        for periods in (3, 6, 12):
            shares = [
                value for name, value in told.items() if name.startswith("expected_") and f"in_{periods}_" in name
            ]
            assert sum(shares) == pytest.approx(1, abs=1e-12) and len(shares) in (4, 7)
        assert not any(name.startswith(("expected_share", "mean_stay")) for name in _told(shop, APRIL, scheme))


@pytest.mark.parametrize("as_of", [APRIL, MAY], ids=str)
def test_cohorts_hold_all_that_their_customers_brought(shop, as_of):
    ((revenue, margin, customers),) = shop.ask(
        """select sum(revenue), sum(margin), sum(customers) filter (period = 0) from cvm.cohort_retention
           where as_of_date = ?""",
        as_of,
    )
    expected = shop.ask(
        """select sum(revenue_total), sum(margin_total), count(*) from cvm.customer_value_history
           where as_of_date = ? and not is_excluded and transactions > 0""",
        as_of,
    )
    assert [(revenue, margin, customers)] == expected
    ((flags,),) = shop.ask("select bool_and(is_complete) from cvm.cohort_retention where as_of_date = ?", as_of)
    assert flags is True, "both snapshots are the last day of a month"


def test_the_value_matrix_parts_buyers_at_the_medians_and_is_told_as_a_scheme(shop):
    rows = shop.ask(
        "select customer_id, margin_12m, clv, value_matrix, is_excluded, transactions from cvm.customer_value"
    )
    fitted = [(margin, clv) for _, margin, clv, _, excluded, bought in rows if bought and not excluded]
    margin_cut, clv_cut = (median(each) for each in zip(*fitted, strict=True))
    names = {(True, True): "star", (False, True): "grow", (True, False): "harvest", (False, False): "maintain"}
    for customer, margin, clv, place, _, bought in rows:
        expected = names[margin > margin_cut, (clv or 0) > clv_cut] if bought else None
        assert place == expected, customer
    assert len({place for *_, place, _, _ in rows}) == 5
    told = dict(shop.ask("""select segment, customers from cvm.segment_summary
                            where scheme = 'value_matrix' and as_of_date = ?""", MAY))  # fmt: skip
    assert told == Counter(place for _, _, _, place, excluded, _ in rows if place and not excluded)
    assert set(_told(shop, MAY, "value_matrix")) == {
        "high_above_margin_12m_value",
        "high_above_clv_value",
        "rule_version",
    }


def test_the_page_is_given_pictures_of_moves_cohorts_and_concentration(shop):
    from cvm_pipeline.defs.pictures import pictures_of_base
    from cvm_pipeline.warehouse.work import connect

    with connect(shop.home) as con:
        pictures = pictures_of_base(con, MAY)
    assert set(pictures) == {"stage_transitions", "tier_transitions", "cohort_retention", "pareto_curve"}
    drawn = [picture.value for shown in pictures.values() for picture in shown.values()]
    assert all(text.startswith("![](data:image/png;base64,") for text in drawn)
