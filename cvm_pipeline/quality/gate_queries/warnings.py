"""Facts about early warning: alarms, the tests behind them, the levels at customers and the value at risk agree.

Belongs here: what the warning tables say of each other and of customer_value. Not here: whether a warning was right
(the table warning_record tells).
"""

from __future__ import annotations

from dataclasses import replace

from cvm_pipeline.quality.fact_query import none_of

WARNINGS = (
    none_of(
        "warnings_that_differ", "Customers whose warning_level is not their alarm's, and alarms of excluded or unknown customers",
        """select coalesce(h.customer_id, w.customer_id) as customer_id, h.warning_level, w.level, h.is_excluded
        from history h full join alarms w using (customer_id)
        where h.warning_level is distinct from w.level or (w.level is not null and h.is_excluded)""",
    ),
    none_of(
        "alarms_raised_twice", "Alarms raised while one stands, and standing ones that are not as they were raised",
        """select w.customer_id, w.status, w.raised_on, w.lapses_on, m.raised_on as raised_then, m.lapses_on as lapses_then
        from alarms w left join (select * from {candidate}.early_warning where as_of_date = $memory_date) m using (customer_id)
        where (w.status = 'new' and (w.raised_on <> w.as_of_date or coalesce(m.lapses_on > w.as_of_date, false)))
          or (w.status = 'standing' and (w.lapses_on <= w.as_of_date or w.raised_on is distinct from m.raised_on
            or w.lapses_on is distinct from m.lapses_on or w.level is distinct from m.level))""",
    ),
    none_of(
        "alarms_without_their_test", "New alarms without a test that raised them, and such tests without an alarm",
        """select coalesce(w.customer_id, t.customer_id) as customer_id, w.p_value as of_alarm, t.p_value as of_test
        from (select * from alarms where status = 'new') w
        full join (select * from {candidate}.warning_test where as_of_date = $as_of_date and is_raised) t using (customer_id)
        where w.p_value is distinct from t.p_value or not t.is_testable""",
    ),
    none_of(
        "tests_against_their_threshold", "Tests that raised an alarm above the published threshold, or raised none below it",
        """select customer_id, p_value, is_testable, is_raised, threshold from {candidate}.warning_test
        cross join (select max(value) filter (where parameter = 'largest_p_raised_probability') as threshold
          from {candidate}.segment_parameter where as_of_date = $as_of_date and scheme = 'warning') told
        where as_of_date = $as_of_date and is_raised is distinct from (is_testable and p_value <= coalesce(threshold, 0) and p_value < 1)""",
    ),
    replace(
        none_of(
            "base_left_untested", "Bases of regular buyers of whom nobody was tested for a warning",
            """select count(*) as regular_buyers from history, day where not is_excluded and frequency >= 12 and "T" >= 365
              and p_alive >= 0.8 and days_since_last <= gap_median and not exists (select 1 from {candidate}.warning_test
              where as_of_date = $as_of_date) having count(*) >= 30""",
        ),
        low=None, high=None, must_block=False,
    ),
    replace(
        none_of(
            "bases_that_fell", "Groups of customers and windows in which the base itself bought below .8 of what was expected",
            """select parameter.parameter, index.value as bought_over_expected from {candidate}.segment_parameter parameter
            left join {candidate}.segment_parameter index on index.as_of_date = parameter.as_of_date
              and index.scheme = parameter.scheme and index.parameter = replace(parameter.parameter, 'base_alarm_', 'index_')
            where parameter.as_of_date = $as_of_date and parameter.scheme = 'warning' and starts_with(parameter.parameter, 'base_alarm_')""",
        ),
        low=None, high=None, must_block=False,
    ),
    none_of(
        "value_at_risk_that_does_not_reconcile", "Segments whose at_risk_value is not the sum over their customers' alarms",
        """select s.scheme, s.segment, s.at_risk_value as in_summary, m.at_risk as of_alarms
        from summary s join (select scheme, segment, sum(coalesce(w.value_at_risk, 0)) as at_risk from membership
          join history using (customer_id) left join alarms w using (customer_id) where not is_excluded group by all) m
          on m.scheme = s.scheme and m.segment = s.segment where s.at_risk_value is distinct from m.at_risk""",
    ),
)  # fmt: skip
