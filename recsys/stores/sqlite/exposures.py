"""Who was served which arm, in SQLite."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from recsys.outcomes.exposure import ANSWERS_SCHEMA, EXPOSURE_SCHEMA, ArmAnswers, Exposure
from recsys.stores.admission import check_ids
from recsys.stores.sqlite.database import Database
from recsys.stores.sqlite.forgotten import Forgotten
from recsys.stores.sqlite.names import ROOT_OF_ID, Names

_RECORD = """
    INSERT INTO exposures (customer, experiment, arm, day, at) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET at = excluded.at WHERE excluded.at < at
"""
_COUNT = """
    INSERT INTO arm_answers (experiment, arm, day, answers, short, seconds, seconds_squared)
    VALUES (?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET (answers, short, seconds, seconds_squared) =
        (answers + excluded.answers, short + excluded.short,
        seconds + excluded.seconds, seconds_squared + excluded.seconds_squared)
"""
_SERVED = """
    SELECT root.customer_id, arm, min(at), max(at), count(*)
    FROM exposures JOIN customers AS own USING (customer)
        JOIN customers AS root ON root.customer = coalesce(own.merged_into, own.customer)
    WHERE experiment = ? AND at <= ? GROUP BY exposures.customer, arm
"""
_ANSWERED = """
    SELECT arm, day, answers, short, seconds, seconds_squared FROM arm_answers WHERE experiment = ? ORDER BY day, arm
"""
_OF_PERSON = f"""
    SELECT experiment, arm, customer_id, at FROM exposures JOIN customers USING (customer)
    WHERE customer = {ROOT_OF_ID} OR merged_into = {ROOT_OF_ID} ORDER BY at, experiment, arm
"""  # noqa: S608
_NAMES = "SELECT experiment FROM arm_answers UNION SELECT experiment FROM exposures ORDER BY experiment"


class SqliteExposures:
    """Implements `ExposureStore`."""

    def __init__(self, database: Database, forgotten: Forgotten) -> None:
        self._database = database
        self._forgotten = forgotten
        self._customers = Names(database, "customers", "customer")

    def record(self, exposures: Sequence[Exposure], answers: Sequence[ArmAnswers] = ()) -> None:
        """See `ExposureStore`."""
        check_ids("customer_id", [exposure.customer_id for exposure in exposures])
        with self._database.transaction():
            gone = self._forgotten.among({exposure.customer_id for exposure in exposures})
            kept = [exposure for exposure in exposures if exposure.customer_id not in gone]
            numbers = self._customers.intern({exposure.customer_id for exposure in kept})
            self._database.run_many(
                _RECORD, [(numbers[each.customer_id], each.experiment, each.arm, each.day, each.at) for each in kept]
            )
            self._database.run_many(_COUNT, answers)

    def served(self, experiment: str, until: int) -> pl.DataFrame:
        """See `ExposureStore`."""
        return self._frame(_SERVED, (experiment, until), EXPOSURE_SCHEMA)

    def answered(self, experiment: str) -> pl.DataFrame:
        """See `ExposureStore`."""
        return self._frame(_ANSWERED, (experiment,), ANSWERS_SCHEMA)

    def of_person(self, customer_id: str) -> Sequence[Exposure]:
        """See `ExposureStore`."""
        return [Exposure(*row) for row in self._database.query(_OF_PERSON, (customer_id, customer_id))]

    def experiments(self) -> Sequence[str]:
        """See `ExposureStore`."""
        return [name for (name,) in self._database.query(_NAMES)]

    def _frame(self, sql: str, values: Sequence[object], schema: dict[str, pl.DataType]) -> pl.DataFrame:
        return pl.DataFrame(self._database.query(sql, values), schema=schema, orient="row")
