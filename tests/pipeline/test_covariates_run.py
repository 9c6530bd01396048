"""Covariates from raw files to the model card: a channel known with a date is found, one without a date is told to nobody."""

from __future__ import annotations

import datetime as dt
import random

import pytest
from places import Place
from small_shop import ORDERS_CONFIG, write_config, write_csv, write_orders

AS_OF = dt.date(2024, 5, 31)
START = dt.date(2023, 1, 2)
CONFIG = (
    ORDERS_CONFIG
    + """\
  - entity: customers
    path: landing/people.csv
    columns:
      customer_id: id
      updated_at: nullif(seen, '')
      acquisition_channel: channel
      gender: gender
clv: {horizon: 3, models: [bg_nbd, pareto_nbd], covariates: [acquisition_channel, gender]}
"""
)
EFFECT = "gamma_alpha_acquisition_channel=web"
MODELS = {"bg_nbd_covariates", "pareto_nbd_covariates"}


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """A shop where "web" buys four times as fast, published. A seventh of the records has no date and says "web"."""
    chance = random.Random(5)
    rows, people = [], []
    for number in range(700):
        name, channel, is_dated = f"k{number:03}", ("shop", "web")[number % 2], number % 7
        rate = chance.gammavariate(4, (1 / 240, 1 / 60)[number % 2])
        leaves = chance.betavariate(0.8, 6)
        day = START + dt.timedelta(days=chance.randrange(200))
        record = {"id": name, "seen": str(day) if is_dated else "", "channel": channel, "gender": "f"}
        people.append(record | ({} if is_dated else {"channel": "web"}))
        while day <= AS_OF:
            rows.append((name, str(day), f"{chance.uniform(10, 40):.2f}"))
            if chance.random() < leaves:
                break
            day += dt.timedelta(days=1 + int(chance.expovariate(rate)))
    folder = write_orders(tmp_path_factory.mktemp("covariates") / "shop", rows).parent
    write_csv(folder / "landing" / "people.csv", ("id", "seen", "channel", "gender"), people)
    write_config(folder, CONFIG)
    place = Place(folder)
    outcome = place.run(AS_OF)
    assert outcome.exit_code == 0, outcome.messages
    return place


def test_the_published_card_holds_the_effects_at_the_snapshot_and_at_every_cut(published):
    card = published.table("clv_model_card")
    rows = zip(card["model"], card["cut_date"], card["metric"], card["value"], strict=True)
    value = {(model, cut, metric): found for model, cut, metric, found in rows if model in MODELS}
    cuts = {cut for _, cut, _ in value}
    assert len(cuts) > 2 and "all" in cuts
    for model in MODELS:
        for cut in cuts:
            assert value[model, cut, f"effect_{EFFECT}"] > 2 * value[model, cut, f"se_effect_{EFFECT}"] > 0
            assert value[model, cut, f"param_{EFFECT}"] > 0 and value[model, cut, f"se_{EFFECT}"] > 0
        assert value[model, "all", "likelihood_ratio_p_value"] < 1e-6
        assert value[model, "all", "backtest_rmse"] > 0
    # Everybody's gender is the same, and unknown of the same customers as the channel: it adds nothing.
    assert not [metric for _, _, metric in value if "gender" in metric]


def test_where_a_channel_says_so_much_a_model_with_covariates_wins_and_scores_everybody(published):
    scored = published.ask("select clv_model, count(*), count(clv) from cvm.customer_value group by all")
    assert len(scored) == 1 and scored[0][0] in MODELS
    assert scored[0][1:] == (700, 700)


def test_a_record_without_a_date_is_shown_and_told_to_no_model(published):
    shown = published.column("select count(*) from cvm.customer where acquisition_channel is not null")
    assert shown == [700]
    told = published.work(
        "select count(distinct customer_id), count(acquisition_channel) from marts.fct_slice_attributes"
    )
    assert told[0][0] == 600
