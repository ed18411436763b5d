"""The statement that exchanges the registry, as text."""

from __future__ import annotations

from etl.dedupe.exchange import exchange_statement
from etl.dedupe.write import Registry


def test_all_four_tables_change_in_one_statement() -> None:
    assert exchange_statement(Registry("m", "s", "member")) == (
        "RENAME TABLE `m`.`member_source` TO `m`.`member_source__old`, `m`.`member_source__new` TO `m`.`member_source`, "
        "`m`.`member` TO `m`.`member__old`, `m`.`member__new` TO `m`.`member`, "
        "`s`.`golden_field` TO `s`.`golden_field__old`, `s`.`golden_field__new` TO `s`.`golden_field`, "
        "`s`.`merge_event` TO `s`.`merge_event__old`, `s`.`merge_event__new` TO `s`.`merge_event`"
    )
