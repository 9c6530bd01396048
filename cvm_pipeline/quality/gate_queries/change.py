"""Facts about value_change: its parts add up, and its values are the published ones.

Belongs here: those sums, row by row and for the base. Not here: moves between states (`movement.py`).
"""

from __future__ import annotations

from cvm_pipeline.domain.contracts import MONEY, VALUE_CHANGE_PARTS
from cvm_pipeline.quality.fact_query import FactQuery, none_of

# Without the model of the snapshot before nothing can be divided, and the card says so.
_IS_SPLIT = """(select memory_date is not null from day)
  and exists (from card where metric = 'value_change_split' and value = 1)"""

CHANGE = (
    none_of(
        "value_changes_that_do_not_add_up", "Customers whose change of value is not clv less clv_before, or not the sum of its parts",
        f"""select customer_id, clv_before, clv, change, {", ".join(VALUE_CHANGE_PARTS)} from change
        where change <> clv - clv_before or change <> {" + ".join(VALUE_CHANGE_PARTS)}""",
    ),
    none_of(
        "value_changes_that_differ", "Customers whose clv, now or then, is not the one in value_change, missing ones included",
        """select customer_id, p.clv_before as published_then, c.clv_before, p.clv as published_now, c.clv
        from (select customer_id, m.clv as clv_before, h.clv from history h full join memory m using (customer_id)
          where coalesce(m.clv, h.clv) is not null) p
        full join change c using (customer_id)
        where c.clv_before is distinct from coalesce(p.clv_before, 0) or c.clv is distinct from coalesce(p.clv, 0)""",
        nullable_unless=_IS_SPLIT,
    ),
    FactQuery(
        "value_change_difference", "Sum of the parts of all changes less the change of the base's clv since the snapshot before",
        f"""select case when {_IS_SPLIT} then (parts - moved)::{MONEY} end, parts::varchar, moved::varchar
        from (select (select coalesce(sum({" + ".join(VALUE_CHANGE_PARTS)}), 0) from change) as parts,
          (select coalesce(sum(clv), 0) from history) - (select coalesce(sum(clv), 0) from memory) as moved)""",
        type=MONEY, low=0, high=0, nullable=True,
    ),
)  # fmt: skip
