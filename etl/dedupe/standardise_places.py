"""Chinese addresses to a road and to a door, so that one matches with or without its province, its estate's name or its units."""

from __future__ import annotations

from typing import Final

import polars as pl

from etl.mapping.transforms.text import fold_width, strip_invisible

MUNICIPALITIES: Final = "(?:北京|上海|天津|重庆)"
REGION: Final = (
    rf"^(?:中国)?(?:[^省市区县]{{2,3}}省|(?:内蒙古|广西壮族|西藏|宁夏回族|新疆维吾尔)自治区|{MUNICIPALITIES}市(?:市辖区)?)?"
)
CITY: Final = r"^(?:[^省市区县路街道]{2,4}(?:市|地区|盟|自治州))?"
ROAD: Final = (
    r"^((?:[^路街道巷弄0-9]{1,6}?[区县市旗])?(?:[^路街道巷弄号0-9]{1,8}?[镇乡])?"
    r"[^0-9]{1,12}?(?:大道|大街|路|街|道|巷|胡同|里|村|庄))"
)
NUMBERS: Final = r"\d+"
BREAKS: Final = r"[\s,，。;；、()（）#-]+"
ROOM: Final = r"室|房|户"


def standard_places(values: pl.Series) -> pl.DataFrame:
    """Columns road (district, road and number) and door (road and every number behind it); null where an address does not say.

    >>> full = "广东省广州市天河区幸福路1181号翠湖天地1号楼4单元2901室"
    >>> addresses = [full, "天河区幸福路１１８１号1号楼4单元 2901室", "上海市浦东新区沪太路127弄6号"]
    >>> standard_places(pl.Series(addresses)).rows()
    [('天河区幸福路1181', '天河区幸福路1181-1-4-2901'), ('天河区幸福路1181', '天河区幸福路1181-1-4-2901'), \
('浦东新区沪太路127', None)]
    """
    text = pl.col("value")
    tidy = fold_width(strip_invisible(text)).str.replace_all(BREAKS, "-").str.replace(REGION, "").str.replace(CITY, "")
    frame = values.cast(pl.String).alias("value").to_frame().select(tidy.alias("value"))
    parts = frame.with_columns(street=text.str.extract(ROAD), numbers=text.str.replace(ROAD, "").str.extract_all(NUMBERS))
    # A door needs a room: without the word, three numbers (lane or number, building, room) say that the last is one.
    count = pl.col("numbers").list.len()
    has_room = (count >= 3) | ((count == 2) & text.str.contains(ROOM))
    return parts.select(
        road=pl.concat_str("street", pl.col("numbers").list.first()),
        door=pl.when(has_room).then(pl.concat_str("street", pl.col("numbers").list.join("-"))),
    )
