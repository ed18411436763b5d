"""Guess from a column's name what it says about a person: for masking, for the duplicate estimate, for draft mappings."""

from __future__ import annotations

import re
from typing import Final

WORDS: Final[tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...]] = (
    # kind, English words in the name, Chinese (or pinyin) parts of it. The first kind that matches wins.
    (
        "id_card",
        ("idcard", "identity card", "id card", "idno", "id no", "identity no", "certno", "cert no", "ssn", "sfz"),
        ("身份证", "证件号", "shenfenzheng"),
    ),
    ("union_id", ("unionid", "union id", "openid", "open id"), ("微信号", "微信标识")),
    (
        "phone",
        ("phone", "mobile", "tel", "telephone", "cellphone", "msisdn", "mobileno"),
        ("手机", "电话", "移动电话", "shouji", "dianhua"),
    ),
    ("email", ("email", "mail", "e mail"), ("邮箱", "邮件", "youxiang")),
    ("birthday", ("birthday", "birthdate", "birth", "dob"), ("生日", "出生", "shengri", "chusheng")),
    ("address", ("address", "addr", "street"), ("地址", "住址", "dizhi")),
    ("name", ("realname", "fullname", "firstname", "lastname", "surname", "username", "nickname"), ("姓名", "名字", "xingming")),
)
NAME_OF_PERSON: Final = (
    "member",
    "customer",
    "account",
    "person",
    "user",
    "contact",
    "client",
    "employee",
    "staff",
    "会员",
    "客户",
    "用户",
)
CAMEL: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|[_\s.\-]+")


def personal_kind(column: str, table: str = "") -> str | None:
    """The kind (etl.masking.PERSONAL_KINDS) that a column's name suggests, None when it suggests none.

    A column called just "Name" is a person's only in a table of persons.

    >>> personal_kind("MobilePhone"), personal_kind("手机号"), personal_kind("ID_CARD_NO"), personal_kind("Hotel")
    ('phone', 'phone', 'id_card', None)
    >>> personal_kind("Name", "Member"), personal_kind("Name", "Product"), personal_kind("EmailAddress")
    ('name', None, 'email')
    """
    words = [word.lower() for word in CAMEL.split(column) if word]
    spaced = f" {' '.join(words)} "
    for kind, english, chinese in WORDS:
        if any(f" {word} " in spaced for word in english) or any(part in column.lower() for part in chinese):
            return kind
    if "name" in words and words[0] in ("name", "real", "full", "first", "last", *NAME_OF_PERSON):
        about_person = any(word in table.lower() for word in NAME_OF_PERSON)
        return "name" if about_person or words[0] != "name" else None
    return None
