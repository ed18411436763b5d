"""Names of persons, so that the spellings of one name meet: script, width, titles, order of surname and given name, pinyin.

All of it works on the distinct names of a column, and on the distinct characters of those: a million records hold some hundred
thousand names and a few thousand characters, so that OpenCC and pypinyin are asked for each character once.
"""

from __future__ import annotations

import os
import unicodedata
from functools import cache
from typing import Final

import polars as pl

from etl.mapping.transforms.text import strip_invisible

# Written alone where no name was known.
NO_NAME_WORDS: Final = """
无 无名 无名氏 匿名 匿名用户 未知 未填 未填写 不详 不知道 保密 测试 测试用户 测试账号 顾客 会员 新会员 客户 散客 游客 用户
微信用户 先生 女士 小姐 test tester testuser null none na nil nobody unknown anonymous guest user customer member admin noname
xxx xx abc asdf
"""
NO_NAMES: Final = NO_NAME_WORDS.split()
TITLES: Final = r"(?:先生|女士|小姐|太太|夫人|老师|师傅|经理|阿姨|大叔|同学)+$"
LATIN_TITLES: Final = r"^(?:mr|mrs|ms|miss|mx|dr|prof|sir|madam)\.?\s+"
# Surnames of two characters in use today.
COMPOUND_SURNAMES: Final = """
欧阳 上官 司徒 诸葛 司马 夏侯 皇甫 尉迟 公孙 慕容 令狐 宇文 长孙 东方 独孤 南宫 西门 闻人 公冶 澹台 宗政 濮阳 淳于 单于 太叔 申屠
仲孙 轩辕 钟离 闾丘 鲜于 亓官 司空 司寇 巫马 公西 颛孙 壤驷 公良 漆雕 乐正 宰父 谷梁 拓跋 夹谷 呼延 端木 百里 东郭
南门 东门 第五 赫连 万俟
"""
COMPOUND: Final = COMPOUND_SURNAMES.split()
# Characters that are read in another way when they are a surname.
SURNAME_READING: Final = {
    **{
        "单": "shan",
        "仇": "qiu",
        "解": "xie",
        "区": "ou",
        "查": "zha",
        "曾": "zeng",
        "任": "ren",
        "华": "hua",
        "朴": "piao",
        "盖": "ge",
    },
    **{
        "乐": "yue",
        "翟": "zhai",
        "尉": "wei",
        "缪": "miao",
        "覃": "qin",
        "冼": "xian",
        "洗": "xian",
        "繁": "po",
        "召": "shao",
        "黑": "he",
    },
    **{
        "秘": "bi",
        "折": "she",
        "员": "yun",
        "种": "chong",
        "晟": "cheng",
        "宓": "fu",
        "隗": "wei",
        "逄": "pang",
        "牟": "mu",
        "仝": "tong",
    },
    **{"尉迟": "yuchi", "万俟": "moqi", "长孙": "zhangsun", "单于": "chanyu", "澹台": "tantai", "令狐": "linghu"},
}
# OpenCC keeps these apart because both are used today; as surnames and in given names they are written for one another.
ALSO_SIMPLIFIED: Final = {
    "乾": "干",
    "於": "于",
    "甯": "宁",
    "閻": "阎",
    "鍾": "钟",
    "豔": "艳",
    "餘": "余",
    "肖": "萧",
    "付": "傅",
    "闫": "阎",
}
HAN: Final = r"^[\x{3400}-\x{9fff}\x{f900}-\x{faff}\x{20000}-\x{323af}]"


def chinese_names(values: pl.Series) -> pl.DataFrame:
    """Columns name, surname, given, pinyin of each value; all null where there is no name.

    `name` is in simplified characters, without titles, blanks, signs and emoji; a name in Latin letters is in lower case, and
    is its own pinyin. A surname alone, as of "王女士", is no name.

    >>> chinese_names(pl.Series(["張 偉先生", "欧阳娜", "Ｚｈａｎｇ Wei", "王女士", "测试", "李娜😊"])).rows()
    [('张伟', '张', '伟', 'zhangwei'), ('欧阳娜', '欧阳', '娜', 'ouyangna'), ('zhangwei', None, None, 'zhangwei'), \
(None, '王', None, None), (None, None, None, None), ('李娜', '李', '娜', 'lina')]
    """
    distinct = values.unique().drop_nulls()
    table = _read_distinct(distinct)
    return values.alias("raw").to_frame().join(table, on="raw", how="left", maintain_order="left").drop("raw")


def _read_distinct(distinct: pl.Series) -> pl.DataFrame:
    """`chinese_names` of distinct values, with the value as column `raw`."""
    bare = distinct.alias("raw").to_frame().with_columns(bare=_bare(pl.col("raw")))
    characters = sorted(set(bare["bare"].str.join("").item() or "")) if len(bare) else []
    plain = {character: found for character in characters if (found := simplified(character)) != character}
    simple = pl.col("bare").str.replace_many(plain) if plain else pl.col("bare")
    compound = pl.col("name").str.slice(0, 2).is_in(COMPOUND) & (pl.col("name").str.len_chars() > 2)
    han = pl.col("name").str.contains(HAN)
    named = bare.select("raw", name=simple.str.replace(TITLES, "")).with_columns(
        name=pl.when((pl.col("name") != "") & ~pl.col("name").is_in(NO_NAMES)).then("name")
    )
    split = named.with_columns(
        surname=pl.when(han).then(pl.col("name").str.slice(0, pl.when(compound).then(2).otherwise(1))),
    ).with_columns(given=pl.when(han).then(pl.col("name").str.slice(pl.col("surname").str.len_chars())))
    known = split.with_columns(
        name=pl.when(pl.col("name").str.len_chars() > 1).then("name"),
        given=pl.when(pl.col("given") != "").then("given"),
    )
    readings = {character: reading for character in characters if (reading := pinyin(simplified(character))) is not None}
    readings |= {simplified(character): reading for character, reading in readings.items()}
    surnames = {**readings, **SURNAME_READING}

    def read(column: str, table: dict[str, str]) -> pl.Expr:
        return pl.col(column).str.replace_many(table, leftmost=True) if table else pl.col(column)

    spoken = pl.concat_str(read("surname", surnames), read("given", readings).fill_null(""))
    return known.with_columns(pinyin=pl.when(pl.col("name").is_not_null()).then(spoken.fill_null(pl.col("name"))))


def _bare(column: pl.Expr) -> pl.Expr:
    """Letters and a lost character's question mark only, lower case, titles in front taken off."""
    lower = strip_invisible(column).str.normalize("NFKC").str.to_lowercase().str.strip_chars()
    return lower.str.replace(LATIN_TITLES, "").str.replace_all(r"[^\p{L}?]", "")


@cache
def simplified(character: str) -> str:
    """The simplified form of a character, itself where it has none.

    >>> simplified("張"), simplified("伟"), simplified("q")
    ('张', '伟', 'q')
    """
    if character < "\u3400":
        return character
    return ALSO_SIMPLIFIED.get(character) or _converter().convert(character)


@cache
def _converter() -> _Converter:
    from opencc import OpenCC

    return _Converter(OpenCC("t2s"))


class _Converter:
    """OpenCC, as far as it is used, with a type."""

    def __init__(self, opencc: object) -> None:
        self._opencc = opencc

    def convert(self, text: str) -> str:
        """Simplified characters."""
        return str(self._opencc.convert(text))  # type: ignore[attr-defined]  # the library has no types


@cache
def pinyin(character: str) -> str | None:
    """The most usual reading without tone, ü as v; None for what is no Chinese character.

    >>> pinyin("吕"), pinyin("伟"), pinyin("a")
    ('lv', 'wei', None)
    """
    os.environ.setdefault("PYPINYIN_NO_PHRASES", "true")  # single characters need no phrases, which take long to load
    from pypinyin import Style, lazy_pinyin

    if character < "\u3400":
        return None
    reading = lazy_pinyin(character, style=Style.NORMAL, errors="ignore", v_to_u=False)
    return unicodedata.normalize("NFC", reading[0]) if reading else None
