"""Every table that Python writes for readers, declared column by column: the one place where a published column is declared.

Belongs here: names, SQL types, meanings, units, keys, vocabularies, and whether a null is allowed. The DDL, the comments in
the database, the data dictionary, the gate's completeness check and the order of columns all follow from it.
Not here: the sources' contract (`sources/entities.py`), the expectations' thresholds (`expectations/`), any I/O.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

CONTRACT_VERSION = "1.2"

MONEY = "decimal(18,4)"

TIERS = ("A", "B", "C", "D")
STAGES = ("prospect", "new", "growing", "mature", "declining", "lost", "reactivated")
RFM_SEGMENTS = (
    "Champions", "Loyal", "Potential Loyalist", "New", "Promising", "Need Attention",
    "About To Sleep", "At Risk", "Can't Lose Them", "Hibernating", "Lost",
)  # fmt: skip
CUSTOMER_TYPES = ("individual", "company")
EXCLUSIONS = ("employee", "reseller", "test", "outlier")
SCHEMES = ("tier", "stage", "rfm", "type", "value_matrix", "warning")
WARNING_LEVELS = ("watch", "warning", "critical")
VALUE_MATRIX = ("star", "grow", "harvest", "maintain")
# Schemes whose states are remembered as stays.
REMEMBERED = ("tier", "stage", "rfm", "warning", "value_matrix")
CAUSES = ("behaviour", "rule change", "identity merge", "corrected data")
# Where a customer comes from that the snapshot before did not know.
ENTRY = "entry"
SEVERITIES = ("critical", "warning")
# They add up to the change of clv, exactly.
VALUE_CHANGE_PARTS = (
    "frequency", "recency", "time", "spend", "margin", "model", "correction", "entry", "identity",
)  # fmt: skip

Writing = Literal["newest", "snapshot", "state", "stays", "log"]


@dataclass(frozen=True)
class Column:
    """One published column.

    `type` is the SQL type, `unit` empty where the meaning says it all. `nullable` is whether readers may meet a null.
    `low` and `high` are hard bounds (inclusive) and `vocabulary` the only words: the gate must hold them.
    """

    name: str
    type: str
    meaning: str
    unit: str = ""
    nullable: bool = False
    low: float | None = None
    high: float | None = None
    vocabulary: tuple[str, ...] = ()
    since: str = "1.0"


@dataclass(frozen=True)
class Table:
    """One published table.

    `writing` says what a publication does to it: `newest` replaces it whole when the snapshot is the newest, `snapshot`
    replaces the rows of its as_of_date, `state` replaces it whole always, `stays` states anew every stay that lasts or ended
    at its as_of_date or later, `log` appends.
    `may_be_empty`: an empty table is sound (there may be no unmatched return).
    """

    name: str
    grain: str
    key: tuple[str, ...]
    writing: Writing
    columns: tuple[Column, ...]
    schema: str = "cvm"
    may_be_empty: bool = False
    gated: bool = True
    names: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", tuple(column.name for column in self.columns))

    def column(self, name: str) -> Column:
        """The column of that name. Raises KeyError."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(f"{self.name} has no column {name}")


def _c(name: str, type: str, meaning: str, unit: str = "", **more: object) -> Column:
    return Column(name, type, meaning, unit, **more)  # type: ignore[arg-type]


def _money(name: str, meaning: str, **more: object) -> Column:
    return _c(name, MONEY, meaning, "project currency", **more)


def _probability(name: str, meaning: str, **more: object) -> Column:
    return _c(name, "double", meaning, "probability", low=0.0, high=1.0, **more)


_AS_OF = _c("as_of_date", "date", "Snapshot: only what was known by the end of this day is in the row")
_CUSTOMER = _c("customer_id", "varchar", "The customer's stable id")
_PUBLICATION = _c("publication_id", "varchar", "The publication that last wrote the row")

_VALUE_COLUMNS = (
    _AS_OF,
    _CUSTOMER,
    _c("customer_type", "varchar", "individual or company, where a source says so", nullable=True,
       vocabulary=CUSTOMER_TYPES),
    _c("first_order_date", "date", "Day of the first transaction", nullable=True),
    _c("last_order_date", "date", "Day of the last transaction", nullable=True),
    _c("transactions", "bigint", "Days with at least one order that stands", "count", low=0),
    _c("frequency", "bigint", "Transactions after the first (x)", "count", low=0),
    _c("recency", "bigint", "First to last transaction (t_x)", "days", nullable=True, low=0),
    _c("T", "bigint", "First transaction to the snapshot", "days", nullable=True, low=0),
    _money("monetary_value", "Mean net value of the repeat transactions; 0 where there are none"),
    _c("days_since_last", "bigint", "Last transaction to the snapshot", "days", nullable=True, low=0),
    _c("gap_median", "double", "Typical gap between transactions, shrunk to the base's", "days", nullable=True, low=0),
    _c("gap_limit", "double", "Silence beyond which the customer is out of rhythm", "days", nullable=True, low=0),
    _money("revenue_total", "Net revenue so far"),
    _money("revenue_12m", "Net revenue of the last 12 months"),
    _money("margin_total", "Revenue less cost of goods less cost to serve, so far"),
    _money("margin_12m", "The same for the last 12 months"),
    _probability("p_alive", "Probability that the customer still buys", nullable=True),
    _c("expected_transactions_12m", "double", "Expected transactions in the next 12 months", "count", nullable=True, low=0),
    _money("expected_spend", "Expected net value of one future transaction", nullable=True),
    _money("clv_12m", "Expected discounted margin of the next 12 months", nullable=True),
    _money("clv_36m", "Expected discounted margin of the next 36 months", nullable=True),
    _money("clv", "Expected discounted margin over clv.horizon", nullable=True),
    _money("clv_low", "10 % quantile of the customer's own discounted margin over clv.horizon", nullable=True),
    _money("clv_high", "90 % quantile of the same", nullable=True),
    _c("interval_basis", "varchar", "backtest: on held-out windows as long as the horizon; model: on the models' word for the rest",
       nullable=True, vocabulary=("backtest", "model")),
    _money("existing_value", "Net margin so far"),
    _money("potential_value", "clv and expected cross-sell", nullable=True),
    _money("influence_value", "Share of the potential of customers referred", nullable=True),
    _money("influence_passed", "Share of the own potential passed up to the referrer", nullable=True),
    _money("total_value", "Potential + influence received - influence passed up"),
    _c("value_rank", "bigint", "1 = the largest total_value; ties by customer_id", "rank", low=1),
    _c("value_percentile", "double", "1 - (value_rank - 1) / customers; 1 = best", "share", low=0.0, high=1.0),
    _c("value_tier", "varchar", "A, B, C by cumulated share of value; D never bought", vocabulary=TIERS),
    _c("previous_tier", "varchar", "Tier at the snapshot before on the grid", nullable=True, vocabulary=TIERS),
    _c("r_score", "integer", "Recency score, 5 = most recent", "1..5", nullable=True, low=1, high=5),
    _c("f_score", "integer", "Frequency score, 5 = most frequent", "1..5", nullable=True, low=1, high=5),
    _c("m_score", "integer", "Monetary score, 5 = largest mean transaction", "1..5", nullable=True, low=1, high=5),
    _c("rfm_cell", "varchar", "The three scores together, such as 543", nullable=True),
    _c("rfm_segment", "varchar", "Name of the cell", nullable=True, vocabulary=RFM_SEGMENTS),
    _c("lifecycle_stage", "varchar", "Where the customer stands in its life", vocabulary=STAGES),
    _c("previous_stage", "varchar", "Stage at the snapshot before on the grid", nullable=True, vocabulary=STAGES),
    _c("stage_since", "date", "First snapshot of the present stay in the stage"),
    _c("stage_reason", "varchar", "Why, in words with the numbers"),
    _c("is_loyal", "boolean", "Frequency and tenure in the upper third, p_alive above .8, no open complaint"),
    _c("warning_level", "varchar", "Level of the early warning that stands", nullable=True,
       vocabulary=WARNING_LEVELS),
    _c("value_matrix", "varchar", "margin_12m x clv, high above the median of buyers: star (high, high), grow (low, high), "
       "harvest (high, low), maintain (low, low); null for prospects", nullable=True,
       vocabulary=VALUE_MATRIX),
    _c("needs", "varchar", "Needs by configured rules", nullable=True, vocabulary=("basic", "functional", "experience")),
    _c("behaviour_cluster", "varchar", "Cluster of behaviour", nullable=True),
    _c("is_excluded", "boolean", "Flagged, and therefore out of fits, cut points and segment averages"),
    _c("exclusion_reason", "varchar", "The flag", nullable=True, vocabulary=EXCLUSIONS),
    _c("clv_model", "varchar", "The champion, which gave clv and every expectation (who gave p_alive: clv_model_card); null for prospects", nullable=True),
    _PUBLICATION,
)  # fmt: skip

CUSTOMER_VALUE = Table(
    "customer_value",
    "One row per customer or prospect, at the newest snapshot.",
    ("customer_id",),
    "newest",
    _VALUE_COLUMNS,
)
CUSTOMER_VALUE_HISTORY = Table(
    "customer_value_history", "One row per snapshot and customer or prospect.", ("as_of_date", "customer_id"), "snapshot",
    _VALUE_COLUMNS,
)  # fmt: skip
CUSTOMER = Table(
    "customer", "One row per customer or prospect: the golden record without direct identifiers.", ("customer_id",), "newest",
    (
        _CUSTOMER,
        _c("customer_type", "varchar", "individual or company", nullable=True, vocabulary=CUSTOMER_TYPES),
        _c("country", "varchar", "Country as the source writes it", nullable=True),
        _c("region", "varchar", "Region as the source writes it", nullable=True),
        _c("city", "varchar", "City as the source writes it", nullable=True),
        _c("industry", "varchar", "Industry of a company", nullable=True),
        _c("size_band", "varchar", "Employees in bands: 1-9, 10-49, 50-249, 250-999, 1000+", nullable=True,
           vocabulary=("1-9", "10-49", "50-249", "250-999", "1000+")),
        _c("acquisition_channel", "varchar", "Channel that won the customer", nullable=True),
        _c("first_order_date", "date", "Day of the first transaction", nullable=True),
        _c("last_order_date", "date", "Day of the last transaction", nullable=True),
        _c("is_prospect", "boolean", "No transaction yet"),
        _PUBLICATION,
    ),
)  # fmt: skip
CUSTOMER_PII = Table(
    "customer_pii", "One row per customer or prospect with a direct identifier: kept apart from all else.", ("customer_id",),
    "newest",
    (
        _CUSTOMER,
        _c("name", "varchar", "Name", nullable=True),
        _c("email", "varchar", "E-mail address", nullable=True),
        _c("phone", "varchar", "Telephone number", nullable=True),
        _c("birth_date", "date", "Date of birth", nullable=True),
        _PUBLICATION,
    ),
    schema="cvm_pii", may_be_empty=True,
)  # fmt: skip
SEGMENT_MEMBERSHIP = Table(
    "segment_membership", "One row per snapshot, scheme and customer.", ("as_of_date", "scheme", "customer_id"), "snapshot",
    (
        _AS_OF,
        _c("scheme", "varchar", "The segmentation", vocabulary=SCHEMES),
        _CUSTOMER,
        _c("segment", "varchar", "The customer's segment in it"),
        _PUBLICATION,
    ),
)  # fmt: skip
SEGMENT_SUMMARY = Table(
    "segment_summary", "One row per snapshot, scheme and segment; excluded customers are left out.",
    ("as_of_date", "scheme", "segment"), "snapshot",
    (
        _AS_OF,
        _c("scheme", "varchar", "The segmentation", vocabulary=SCHEMES),
        _c("segment", "varchar", "The segment"),
        _c("customers", "bigint", "Customers in it", "count", low=1),
        _c("share", "double", "Share of the scheme's customers", "share", low=0.0, high=1.0),
        _money("revenue_12m", "Net revenue of the last 12 months, summed"),
        _money("margin_12m", "Net margin of the last 12 months, summed"),
        _money("clv", "clv, summed; an absent one counts as 0"),
        _money("clv_low", "10 % quantile of the segment total of clv: its own, not the sum of the customers'", nullable=True),
        _money("clv_high", "90 % quantile of the same", nullable=True),
        _c("interval_basis", "varchar", "proven: on five or more past windows without overlap; unproven: on fewer",
           nullable=True, vocabulary=("proven", "unproven"), since="1.1"),
        _money("total_value", "total_value, summed"),
        _probability("avg_p_alive", "Mean p_alive of those who have one", nullable=True),
        _money("at_risk_value", "Sum of value at risk of standing warnings", nullable=True),
        _PUBLICATION,
    ),
)  # fmt: skip
SEGMENT_PARAMETER = Table(
    "segment_parameter", "One row per snapshot, scheme and parameter: what explains a tier, score or stage.",
    ("as_of_date", "scheme", "parameter"), "snapshot",
    (
        _AS_OF,
        _c("scheme", "varchar", "The segmentation", vocabulary=SCHEMES),
        _c("parameter", "varchar", "Its cut, limit or share"),
        _c("value", "double", "The value, in the unit that the parameter's name says"),
        _PUBLICATION,
    ),
)  # fmt: skip
PARETO_CURVE = Table(
    "pareto_curve", "One row per snapshot and percentile of customers, best first.", ("as_of_date", "customer_percentile"),
    "snapshot",
    (
        _AS_OF,
        _c("customer_percentile", "integer", "The best so many per cent of customers", "per cent", low=0, high=100),
        _c("cumulative_value_share", "double", "Share of positive total_value that they hold", "share", low=0.0, high=1.0),
        _PUBLICATION,
    ),
)  # fmt: skip
CLV_MODEL_CARD = Table(
    "clv_model_card", "One row per snapshot, model, cut and metric.", ("as_of_date", "model", "cut_date", "metric"), "snapshot",
    (
        _AS_OF,
        _c("model", "varchar", "The model's module name"),
        _c("cut_date", "varchar", "Date the history was cut at; all = fitted on all that was known, and backtest_ metrics pooled over the cuts"),
        _c("metric", "varchar", "param_<letter>, se_, low_, high_ (95 %); backtest_<measure> on held-out windows; is_champion, gives_p_alive, fallback (1: a pooled stand-in); coverage_, pit_share, interval_ (do intervals hold); gate_, drift_; fitted_model (the kept model's digest in note); value_change_split; note explains"),
        _c("value", "double", "The metric's value; null where it can't be had, with the reason in note", nullable=True),
        _c("note", "varchar", "What a reader should know about it", nullable=True),
        _PUBLICATION,
    ),
)  # fmt: skip
CLV_BACKTEST = Table(
    "clv_backtest", "One row per snapshot, cut, model and customer judged: what was forecast at the cut and what came.",
    ("as_of_date", "cut_date", "horizon_days", "model", "customer_id"), "snapshot",
    (
        _AS_OF,
        _c("cut_date", "varchar", "Date the history was cut at, as in clv_model_card: nothing later was known to the forecast",
           since="1.1"),
        _c("horizon_days", "integer", "Length of the judged window after the cut", "days", low=1, since="1.1"),
        _c("model", "varchar", "Who forecast: the name in clv_model_card", since="1.1"),
        _c("customer_id", "varchar", "The customer's stable id", since="1.1"),
        _c("predicted", "double", "Expected transactions in the window", "count", low=0, since="1.1"),
        _c("actual", "double", "Transactions that came, as known at its end", "count", low=0, since="1.1"),
        _c("naive", "double", "Transactions by the best naive forecast", "count", low=0, since="1.1"),
        _c("low", "double", "10 % quantile of the transactions", "count", low=0, since="1.1"),
        _c("high", "double", "90 % quantile of the same", "count", low=0, since="1.1"),
        _money("value_predicted", "Expected net sales of the window, undiscounted", since="1.1"),
        _money("value_actual", "Net sales that came, as known at its end; below 0 where returns outweigh them", since="1.1"),
        _money("value_naive", "Net sales by the best naive forecast", since="1.1"),
        _money("value_low", "10 % quantile of the net sales; the champion's is corrected by earlier windows", since="1.1"),
        _money("value_high", "90 % quantile of the same", since="1.1"),
        _PUBLICATION,
    ),
    may_be_empty=True,
)  # fmt: skip
UNMATCHED_RETURN = Table(
    "unmatched_return", "One row per return, or part of one, that no earlier order could bear.", ("order_id", "line"), "newest",
    (
        _c("order_id", "varchar", "The return's own document"),
        _c("line", "integer", "Its line; 0 for the document as a whole", low=0),
        _CUSTOMER,
        _c("returned_at", "timestamp", "When, in UTC"),
        _money("amount", "What no order bore; lowers revenue_total on its day", low=0),
        _PUBLICATION,
    ),
    may_be_empty=True,
)  # fmt: skip
INGEST_AUDIT = Table(
    "ingest_audit", "One row per source and file content: what became of each row read.", ("source", "file_hash"), "state",
    (
        _c("source", "varchar", "Source name in cvm.yml"),
        _c("file_hash", "varchar", "SHA-256 of the file's bytes"),
        _c("entity", "varchar", "What one row is"),
        _c("file", "varchar", "File name, relative to cvm.yml"),
        _c("rows_read", "bigint", "Rows read", "count", low=0),
        _c("rows_accepted", "bigint", "Rows that stand", "count", low=0),
        _c("rows_quarantined", "bigint", "Rows refused, with their reason kept", "count", low=0),
        _c("rows_duplicate", "bigint", "Rows equal to one that stands", "count", low=0),
        _c("rows_filtered", "bigint", "Rows dropped by the source's where, or of a forgotten person", "count", low=0),
        _c("rows_superseded", "bigint", "Rows replaced by a newer version", "count", low=0),
        _c("landed_at", "timestamp", "When this content was first landed, in UTC"),
        _PUBLICATION,
    ),
)  # fmt: skip
DATA_QUALITY_RESULT = Table(
    "data_quality_result", "One row per publication, suite, check and column.",
    ("publication_id", "suite", "expectation", "column"), "log",
    (
        _PUBLICATION,
        _c("suite", "varchar", "The table's suite"),
        _c("expectation", "varchar", "The check's unique name"),
        _c("column", "varchar", "Column judged; empty for the table as a whole"),
        _c("success", "boolean", "Held"),
        _c("severity", "varchar", "critical blocks, warning tells", vocabulary=SEVERITIES),
        _c("observed", "varchar", "What was found", nullable=True),
        _c("unexpected_count", "bigint", "Failing rows", "count", nullable=True, low=0),
        _c("accepted_reason", "varchar", "Why a failing relative check was accepted by hand", nullable=True),
    ),
    gated=False,
)  # fmt: skip
DATA_DICTIONARY = Table(
    "data_dictionary", "One row per published table and column.", ("table", "column"), "state",
    (
        _c("table", "varchar", "Table"),
        _c("column", "varchar", "Column"),
        _c("type", "varchar", "SQL type"),
        _c("meaning", "varchar", "What it means"),
        _c("unit", "varchar", "Unit; empty where the meaning says it all"),
        _c("since", "varchar", "Contract version that brought it"),
        _PUBLICATION,
    ),
)  # fmt: skip
PUBLICATION = Table(
    "publication", "One row per publication.", ("publication_id",), "log",
    (
        _PUBLICATION,
        _c("as_of_date", "date", "The snapshot that it brought"),
        _c("data_through", "date", "Day of the newest accepted order known to it", nullable=True),
        _c("published_at", "timestamp", "When its candidate was built, in UTC; readers saw it within the minutes after"),
        _c("status", "varchar", "published", vocabulary=("published",)),
        _c("currency", "varchar", "Currency of all money"),
        _c("timezone", "varchar", "Zone in which days are cut"),
        _c("gate_summary", "varchar", "Checks passed, warned and accepted"),
        _c("rows_by_table", "varchar", "JSON: rows of each table that it wrote, as it was published; who is forgotten later counts on"),
        _c("contract_version", "varchar", "Version of this contract"),
        _c("code_version", "varchar", "Version of the pipeline"),
        _c("run_id", "varchar", "Dagster run"),
        _c("inputs", "varchar", "Digest of all that the snapshot could know: another one, corrected rows or another configuration",
           nullable=True, since="1.2"),
    ),
    gated=False,
)  # fmt: skip
CURRENT_PUBLICATION = Table(
    "current_publication", "Exactly one row: the publication that stands.", ("publication_id",), "state",
    (
        _PUBLICATION,
        _c("as_of_date", "date", "Newest snapshot that readers see"),
        _c("published_at", "timestamp", "When its candidate was built, in UTC; readers saw it within the minutes after"),
    ),
    gated=False,
)  # fmt: skip
CUSTOMER_STATE_HISTORY = Table(
    "customer_state_history",
    "One row per customer, scheme and stay in a state, from snapshot to snapshot of the grid (cadence): permanent.",
    ("customer_id", "scheme", "valid_from"), "stays",
    (
        _c("customer_id", "varchar", "The customer's stable id", since="1.2"),
        _c("scheme", "varchar", "The segmentation", vocabulary=REMEMBERED, since="1.2"),
        _c("valid_from", "date", "First snapshot of the stay", since="1.2"),
        _c("valid_to", "date", "First snapshot at which it was over; null while it lasts", nullable=True, since="1.2"),
        _c("state", "varchar", "The customer's segment in the scheme", since="1.2"),
        _c("previous", "varchar", "The state that ended when this began; null at the first, and after a pause", nullable=True,
           since="1.2"),
        _c("reason", "varchar", "Why, in words with the numbers of the first snapshot of the stay", nullable=True, since="1.2"),
        _c("cause", "varchar", "What moved it; behaviour is the customer's, silence and the base's included", vocabulary=CAUSES,
           since="1.2"),
        _c("rule_version", "bigint", "Number of the scheme's rules as configured then: segment_parameter rule_version",
           since="1.2"),
        _c("publication_id", "varchar", "The publication that last wrote the row", since="1.2"),
    ),
    may_be_empty=True,
)  # fmt: skip
VALUE_CHANGE = Table(
    "value_change",
    "One row per snapshot and customer with value then or now: the change of clv since the snapshot before on the grid, and why.",
    ("as_of_date", "customer_id"), "snapshot",
    (
        _AS_OF,
        _c("customer_id", "varchar", "The customer's stable id", since="1.2"),
        _money("clv_before", "clv published of the snapshot before on the grid; 0 where there was none", since="1.2"),
        _money("clv", "clv of this snapshot; 0 where there is none", since="1.2"),
        _money("change", "clv - clv_before: the sum of the parts that follow, exactly", since="1.2"),
        _money("frequency", "By what was bought since", since="1.2"),
        _money("recency", "By when it was bought", since="1.2"),
        _money("time", "By time that passed without a purchase", since="1.2"),
        _money("spend", "By the mean value of the own purchases", since="1.2"),
        _money("margin", "By the own margin rate", since="1.2"),
        _money("model", "By another model: parameters, champion, configuration", since="1.2"),
        _money("correction", "By what is known now of the earlier date and was not then", since="1.2"),
        _money("entry", "First value", since="1.2"),
        _money("identity", "By records that were found to be one person's", since="1.2"),
        _PUBLICATION,
    ),
    may_be_empty=True,
)  # fmt: skip

COHORT_RETENTION = Table(
    "cohort_retention", "One row per snapshot, cohort of first transaction and period since; excluded customers are left out.",
    ("as_of_date", "cohort", "period"), "snapshot",
    (
        _AS_OF,
        _c("cohort", "date", "First day of the month of the first transaction; of the quarter, where snapshots are quarterly",
           since="1.2"),
        _c("period", "integer", "Months (quarters) since the cohort's own, which is 0", "count", low=0, since="1.2"),
        _c("customers", "bigint", "Customers of the cohort", "count", low=1, since="1.2"),
        _c("active", "bigint", "Of them, those with a transaction in the period", "count", low=0, since="1.2"),
        _c("retention", "double", "active over customers", "share", low=0.0, high=1.0, since="1.2"),
        _money("revenue", "Net revenue of the period, returns on their own day; any from before the first transaction is in period 0",
               since="1.2"),
        _money("margin", "Net margin of the same", since="1.2"),
        _money("cumulative_value", "Margin per customer of the cohort from its first period through this one: payback is where it "
               "passes the cost of winning one", since="1.2"),
        _c("is_complete", "boolean", "The period was over by the snapshot; in one that was not, active and money are so far",
           since="1.2"),
        _PUBLICATION,
    ),
    may_be_empty=True,
)  # fmt: skip


def _transitions(name: str, of: str, states: tuple[str, ...]) -> Table:
    return Table(
        name,
        f"One row per snapshot, {of} at the snapshot before on the grid, and {of} now; excluded customers are left out.",
        ("as_of_date", "from", "to"),
        "snapshot",
        (
            _AS_OF,
            _c("from", "varchar", f"The {of} then; entry: not known then", vocabulary=(*states, ENTRY), since="1.2"),
            _c("to", "varchar", f"The {of} now", vocabulary=states, since="1.2"),
            _c(
                "customers",
                "bigint",
                "Customers who went this way, or stayed where from = to",
                "count",
                low=1,
                since="1.2",
            ),
            _probability("probability", "Share of them among all who come from the same", since="1.2"),
            _money("value_moved", "Their total_value now, summed", since="1.2"),
            _PUBLICATION,
        ),
        may_be_empty=True,
    )


STAGE_TRANSITIONS = _transitions("stage_transitions", "stage", STAGES)
TIER_TRANSITIONS = _transitions("tier_transitions", "tier", TIERS)

EARLY_WARNING = Table(
    "early_warning", "One row per snapshot and customer with an alarm, newly raised or standing.", ("as_of_date", "customer_id"),
    "snapshot",
    (
        _AS_OF,
        _CUSTOMER,
        _c("status", "varchar", "new: raised at this snapshot; standing: raised before and not lapsed", vocabulary=("new", "standing"),
           since="1.2"),
        _c("level", "varchar", "By value_at_risk: watch, warning from the median clv of the base, critical from its 90 % quantile",
           vocabulary=WARNING_LEVELS, since="1.2"),
        _c("signals", "varchar", "What fell beyond chance", vocabulary=("frequency", "spend", "frequency, spend"), since="1.2"),
        _c("window_days", "integer", "The customer's own window, which ended on raised_on", "days", low=1, since="1.2"),
        _probability("p_value", "Probability of so little in the window while nothing has changed, all signals counted", since="1.2"),
        _money("value_at_risk", "What the fall puts at risk: value if alive x (1 - p_alive), or the fall of clv if larger", low=0,
               since="1.2"),
        _c("reasons", "varchar", "Why, in words with the numbers", since="1.2"),
        _c("raised_on", "date", "Snapshot at which it was raised", since="1.2"),
        _c("lapses_on", "date", "Day from which the customer is tested again: one window later", since="1.2"),
        _PUBLICATION,
    ),
    may_be_empty=True,
)  # fmt: skip
WARNING_TEST = Table(
    "warning_test", "One row per snapshot and customer with a window: what was expected of it, what came, and how likely that was.",
    ("as_of_date", "customer_id"), "snapshot",
    (
        _AS_OF,
        _CUSTOMER,
        _c("window_days", "integer", "The customer's own window, which ends at the snapshot", "days", low=1, since="1.2"),
        _c("expected_transactions", "double", "Transactions expected in it while alive at an unchanged rate, by what was known at its start",
           "count", low=0, since="1.2"),
        _c("expected_with_attrition", "double", "The same with the chance of having gone inside: what the base's index is taken over",
           "count", low=0, since="1.2"),
        _c("observed_transactions", "bigint", "Transactions that came", "count", low=0, since="1.2"),
        _c("base_index", "double", "Factor on what is expected: how the base itself moved in this window", "ratio", low=0.3, high=3.0,
           since="1.2"),
        _probability("p_frequency", "P(no more transactions than came) while nothing has changed", since="1.2"),
        _probability("p_spend", "P(no more spent in so many transactions) while nothing has changed; null without a model of spend",
                     nullable=True, since="1.2"),
        _probability("p_value", "The smaller of the two times their number", since="1.2"),
        _c("is_testable", "boolean", "Silence alone could have shown something: the customer is in the family that is tested", since="1.2"),
        _c("is_raised", "boolean", "An alarm was raised", since="1.2"),
        _PUBLICATION,
    ),
    may_be_empty=True,
)  # fmt: skip
WARNING_RECORD = Table(
    "warning_record", "One row per snapshot and level of alarm: what became of the alarms whose next window ended in the last 365 days.",
    ("as_of_date", "level"), "snapshot",
    (
        _AS_OF,
        _c("level", "varchar", "Level of the alarms; all: of every level", vocabulary=("all", *WARNING_LEVELS), since="1.2"),
        _c("tested", "bigint", "Customers tested at the snapshots of the record", "count", low=0, since="1.2"),
        _c("not_testable", "bigint", "Customers with a window there whom no silence could have shown", "count", low=0, since="1.2"),
        _c("warned", "bigint", "Alarms raised there", "count", low=0, since="1.2"),
        _c("fell", "bigint", "Warned customers who in the window after the alarm bought less than expected before it", "count", low=0,
           since="1.2"),
        _c("base_rate", "double", "Share that fell among unwarned customers of the same snapshot and decile of expected count", "share", nullable=True, low=0.0,
           high=1.0, since="1.2"),
        _c("lift", "double", "Share that fell of the warned who have such a match, over base_rate", "ratio", nullable=True, low=0, since="1.2"),
        _c("not_fallen_share", "double", "Share of the warned who did not fall", "share", nullable=True, low=0.0, high=1.0, since="1.2"),
        _c("base_index", "double", "Mean index of the tests of the record", "ratio", nullable=True, low=0.3, high=3.0, since="1.2"),
        _c("median_lead_days", "double", "Median time from the alarm to the first snapshot in stage lost, of those not lost already", "days", nullable=True, low=0,
           since="1.2"),
        _PUBLICATION,
    ),
)  # fmt: skip

TABLES: tuple[Table, ...] = (
    CUSTOMER_VALUE, CUSTOMER_VALUE_HISTORY, CUSTOMER, CUSTOMER_PII, SEGMENT_MEMBERSHIP, SEGMENT_SUMMARY, SEGMENT_PARAMETER,
    PARETO_CURVE, CLV_MODEL_CARD, CLV_BACKTEST, UNMATCHED_RETURN, INGEST_AUDIT, DATA_QUALITY_RESULT, DATA_DICTIONARY, PUBLICATION,
    CURRENT_PUBLICATION, CUSTOMER_STATE_HISTORY, VALUE_CHANGE, COHORT_RETENTION, STAGE_TRANSITIONS, TIER_TRANSITIONS,
    EARLY_WARNING, WARNING_TEST, WARNING_RECORD,
)  # fmt: skip


def table(name: str) -> Table:
    """The published table of that name. Raises KeyError."""
    for candidate in TABLES:
        if candidate.name == name:
            return candidate
    raise KeyError(f"no published table {name}")
