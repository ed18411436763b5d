"""What is loaded is what is read: every type, every awkward value, by both drivers."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from decimal import Context, Decimal

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from etl.errors import TargetError
from etl.settings import TargetSettings
from etl.target.bulk import BulkConnection
from etl.target.columns import read_target_columns
from etl.target.connect import connect_bulk

DDL = """CREATE TABLE everything (
    id BIGINT NOT NULL PRIMARY KEY, tiny TINYINT, tiny_u TINYINT UNSIGNED, small SMALLINT, whole INT, big BIGINT,
    big_u BIGINT UNSIGNED, money DECIMAL(19,4), huge DECIMAL(38,0), fine DECIMAL(38,30), ratio DOUBLE, truth TINYINT(1),
    words VARCHAR(60), letters MEDIUMTEXT, raw VARBINARY(60), blob_ MEDIUMBLOB, day DATE, moment DATETIME(6),
    stamp TIMESTAMP(6) NULL, clock TIME(6)
) DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin"""

AWKWARD = [
    "",
    " ",
    "NULL",
    "\\N",
    "null",
    "\\",
    '"',
    '""',
    "'",
    "a\tb",
    "line\nend",
    "line\r\nend",
    "\r",
    "\x00",
    "a\x00b",
    "\x1a",
    " both ends ",
    "\U0001f600",
    "\U0010ffff",
    "\ufeff",
    "王小明",
    "é",
    "%s",
    "\\\t\\\n\\",
    '","',
    "x" * 60,
]


WIDE = Context(prec=60)


def decimals(digits: int, scale: int) -> st.SearchStrategy[Decimal]:
    return st.integers(-(10**digits) + 1, 10**digits - 1).map(lambda unscaled: Decimal(unscaled).scaleb(-scale, WIDE))


TEXT = st.one_of(st.sampled_from(AWKWARD), st.text(st.characters(exclude_categories=["Cs"]), max_size=60))
MOMENTS = st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59, 59, 999_999))
FLOATS = st.floats(allow_nan=False, allow_infinity=False)

VALUES: dict[str, tuple[pl.DataType, st.SearchStrategy[object]]] = {
    "tiny": (pl.Int8(), st.integers(-128, 127)),
    "tiny_u": (pl.UInt8(), st.integers(0, 255)),
    "small": (pl.Int16(), st.integers(-(2**15), 2**15 - 1)),
    "whole": (pl.Int32(), st.integers(-(2**31), 2**31 - 1)),
    "big": (pl.Int64(), st.integers(-(2**63), 2**63 - 1)),
    "big_u": (pl.UInt64(), st.integers(0, 2**64 - 1)),
    "money": (pl.Decimal(19, 4), decimals(19, 4)),
    "huge": (pl.Decimal(38, 0), decimals(38, 0)),
    "fine": (pl.Decimal(38, 30), decimals(38, 30)),
    "ratio": (pl.Float64(), FLOATS.map(lambda value: value + 0.0)),
    "truth": (pl.Boolean(), st.booleans()),
    "words": (pl.String(), TEXT),
    "letters": (pl.String(), TEXT),
    "raw": (pl.Binary(), st.binary(max_size=60)),
    "blob_": (pl.Binary(), st.binary(max_size=200)),
    "day": (pl.Date(), st.dates(date(1, 1, 1))),
    "moment": (pl.Datetime("us"), MOMENTS),
    "stamp": (pl.Datetime("us"), st.datetimes(datetime(1970, 1, 2), datetime(2038, 1, 18))),
    "clock": (pl.Time(), st.times()),
}
TYPES = {"id": pl.Int64(), **{name: dtype for name, (dtype, _) in VALUES.items()}}
ROWS = st.lists(
    st.fixed_dictionaries({name: st.none() | values for name, (_, values) in VALUES.items()}), min_size=1, max_size=20
)


def frame_of(rows: list[dict[str, object]]) -> pl.DataFrame:
    numbered = [{"id": number, **row} for number, row in enumerate(rows)]
    return pl.DataFrame(numbered, schema=TYPES, orient="row")


def round_trip(bulk: BulkConnection, frame: pl.DataFrame) -> pl.DataFrame:
    bulk.begin()
    outcome = bulk.load_rows("everything", frame.columns, frame)
    assert outcome.clean, outcome
    assert outcome.rows == frame.height
    names = ", ".join(TYPES)
    read = pl.concat(bulk.read_frame(f"SELECT {names} FROM everything ORDER BY id", TYPES))
    bulk.rollback()
    return read


@pytest.fixture
def everything(bulk: BulkConnection) -> BulkConnection:
    bulk.execute(DDL)
    return bulk


def test_any_value_of_any_type(everything: BulkConnection) -> None:
    @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
    @given(ROWS)
    def check(rows: list[dict[str, object]]) -> None:
        frame = frame_of(rows)
        assert round_trip(everything, frame).rows() == frame.rows()

    check()


def test_every_awkward_text_at_once(everything: BulkConnection) -> None:
    texts = [*AWKWARD, *(chr(code) for code in range(0x20)), *(f"a{chr(code)}" for code in range(0x20))]
    frame = frame_of([{"words": text, "letters": text, "raw": text.encode()} for text in texts])

    assert round_trip(everything, frame).rows() == frame.rows()


def test_extremes_of_every_type(everything: BulkConnection) -> None:
    frame = frame_of(
        [
            {"big": -(2**63), "big_u": 2**64 - 1, "huge": Decimal("9" * 38), "fine": Decimal("0." + "0" * 29 + "1")},
            {"money": Decimal("-922337203685477.5808"), "ratio": 5e-324, "moment": datetime(9999, 12, 31, 23, 59, 59, 999_999)},
            {"ratio": -1.7976931348623157e308, "day": date(1, 1, 1), "clock": time(0), "huge": Decimal("-" + "9" * 38)},
        ]
    )

    assert round_trip(everything, frame).rows() == frame.rows()


def test_times_with_a_zone_are_stored_in_utc(everything: BulkConnection) -> None:
    moment = datetime(2026, 1, 1, 0, 30, tzinfo=UTC)
    frame = pl.DataFrame({"id": [1], "moment": pl.Series([moment]).dt.convert_time_zone("Asia/Shanghai")})
    everything.begin()
    everything.load_rows("everything", frame.columns, frame)

    assert everything.scalar("SELECT moment FROM everything") == moment.replace(tzinfo=None)


def test_a_zero_id_stays_zero(everything: BulkConnection) -> None:
    everything.execute("CREATE TABLE numbered (id BIGINT NOT NULL PRIMARY KEY AUTO_INCREMENT, x INT)")
    everything.begin()
    everything.load_rows("numbered", ["id", "x"], pl.DataFrame({"id": [0, 7], "x": [1, 2]}))

    assert everything.query("SELECT id FROM numbered ORDER BY id") == [(0,), (7,)]


def test_the_servers_own_defaults_fill_columns_left_out(everything: BulkConnection) -> None:
    everything.execute(
        "CREATE TABLE part (id INT PRIMARY KEY, a INT DEFAULT 5, at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6))"
    )
    everything.begin()
    outcome = everything.load_rows("part", ["id"], pl.DataFrame({"a": [9], "id": [1]}))

    assert outcome.clean
    assert everything.scalar("SELECT a FROM part") == 5
    age = everything.scalar("SELECT UTC_TIMESTAMP(6)") - everything.scalar("SELECT at FROM part")
    assert abs(age) < timedelta(seconds=60)


def test_an_empty_frame_and_an_empty_result(everything: BulkConnection) -> None:
    everything.begin()

    assert everything.load_rows("everything", ["id"], pl.DataFrame({"id": []}, schema={"id": pl.Int64})).rows == 0
    assert list(everything.read_frame("SELECT id FROM everything", {"id": pl.Int64()})) == []


def test_types_of_the_catalog_read_what_they_describe(everything: BulkConnection, by_driver: TargetSettings) -> None:
    everything.begin()
    frame = frame_of([{"tiny": 1, "truth": True, "huge": Decimal(1), "clock": time(1), "raw": b"\x00"}])
    everything.load_rows("everything", frame.columns, frame)
    everything.commit()
    with connect_bulk(by_driver) as other:
        columns = read_target_columns(other, by_driver.schema_name)["everything"]
        types = {column.name: column.polars_type() for column in columns}
        read = pl.concat(other.read_frame(f"SELECT {', '.join(types)} FROM everything", types))

    assert read.with_columns(pl.col("truth").cast(pl.Boolean)).rows() == frame.rows()


def test_parameters_of_a_streaming_read_are_values(everything: BulkConnection) -> None:
    text = 'it\'s 100% \\ "x"'
    read = pl.concat(
        everything.read_frame("SELECT %s, %s, %s", {"a": pl.String(), "b": pl.Int64(), "c": pl.String()}, (text, 5, None))
    )

    assert read.rows() == [(text, 5, None)]


def test_a_zero_date_is_an_error_that_shows_nothing(everything: BulkConnection) -> None:
    everything.execute("SET SESSION sql_mode = ''")
    everything.execute("INSERT INTO everything (id, day) VALUES (1, '0000-00-00')")

    with pytest.raises(TargetError, match="Column day"):
        list(everything.read_frame("SELECT day FROM everything", {"day": pl.Date()}))
