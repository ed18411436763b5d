"""Functions of DuckDB that comparison sets use, said in Spark's SQL so that both give the same for every pair of texts.

DuckDB compares texts byte by byte, Spark character by character: here texts are taken apart into bytes first. Spark and the
library that comes with Splink count half a transposition in Jaro's similarity, DuckDB only whole ones, and it adds the bonus for
an equal start without rounding in between (a fused multiply-add). Who compares 0.92 with 0.92 has to do all of it alike.
"""

from __future__ import annotations

from typing import Final

PREFIX: Final = "members_"
"""Our functions are called so, whatever Spark itself brings under the plain name."""

ODD: Final = 0.06
"""More than half a transposition is worth: it takes three letters that are out of place, so three that agree, and 1/18."""


def bytes_of(text: str) -> str:
    """A text with a character for each byte."""
    return f"decode(encode({text}, 'UTF-8'), 'ISO-8859-1')"


def let(name: str, value: str, body: str) -> str:
    """`body` in which `name` stands for `value`, computed once."""
    return f"transform(array({value}), {name} -> {body})[0]"


def functions() -> dict[str, tuple[str, str, str]]:
    """Each function by its name in DuckDB: parameters, type and body. Names are those of temporary functions without PREFIX."""
    two = "a STRING, b STRING"
    return {
        "levenshtein": (two, "INT", f"levenshtein({bytes_of('a')}, {bytes_of('b')})"),
        "damerau_levenshtein": (two, "INT", f"CAST(damerau_levenshtein({bytes_of('a')}, {bytes_of('b')}) AS INT)"),
        "hamming": (two, "INT", _hamming()),
        "jaro_similarity": (two, "DOUBLE", _with_both(_jaro())),
        "jaro_winkler_similarity": (two, "DOUBLE", _with_both(_jaro_winkler())),
        "regexp_full_match": (two, "BOOLEAN", "a RLIKE concat('^(?:', b, ')$')"),
        "jaro_reaches": (f"{two}, least DOUBLE", "BOOLEAN", _reaches(winkler=False)),
        "jaro_winkler_reaches": (f"{two}, least DOUBLE", "BOOLEAN", _reaches(winkler=True)),
    }


def function_statements() -> list[str]:
    """What makes them known to a session of Spark."""
    return [
        f"CREATE OR REPLACE TEMPORARY FUNCTION {PREFIX}{name}({parameters}) RETURNS {kind} RETURN {body}"
        for name, (parameters, kind, body) in functions().items()
    ]


def _hamming() -> str:
    """Places at which two texts of one length differ."""
    differs = f"zip_with(split({bytes_of('a')}, ''), split({bytes_of('b')}, ''), (x, y) -> x <> y)"
    return f"array_size(filter({differs}, d -> d))"


def _with_both(body: str) -> str:
    """`body` over v: both texts as bytes, and how far apart equal letters may be to count as the same one."""
    reach = "greatest(greatest(octet_length(a), octet_length(b)) DIV 2 - 1, 0)"
    return let("v", f"struct({bytes_of('a')} AS a, {bytes_of('b')} AS b, {reach} AS reach)", body)


def _jaro() -> str:
    """Jaro's similarity of v.a and v.b: each letter of b looks for the first equal one of a that is near and still free."""
    first = "greatest(1, i - v.reach)"
    near = f"substr(s.rest, {first}, least(i, v.reach + 1) + v.reach)"
    taken = f"overlay(s.rest PLACING chr(0) FROM {first} + at - 1)"
    found = f"if(at = 0, s, struct({taken} AS rest, concat(s.met, substr(v.b, i, 1)) AS met))"
    walk = let("at", f"locate(substr(v.b, i, 1), {near})", found)
    walked = f"aggregate(sequence(1, length(v.b)), struct(v.a AS rest, '' AS met), (s, i) -> {walk})"
    places = "filter(sequence(1, length(v.a)), i -> substr(w.rest, i, 1) = chr(0))"
    in_a = f"array_join(transform({places}, i -> substr(v.a, i, 1)), '')"
    moved = "size(filter(sequence(1, length(w.met)), i -> substr(w.met, i, 1) <> substr(o, i, 1))) DIV 2"
    shares = f"length(w.met) / length(v.a) + length(w.met) / length(v.b) + (length(w.met) - {moved}) / length(w.met)"
    some = let("w", walked, f"if(w.met = '', 0D, {let('o', in_a, f'({shares}) / 3')})")
    none = "v.a IS NULL OR v.b IS NULL THEN CAST(NULL AS DOUBLE) WHEN v.a = '' OR v.b = '' THEN 0D"
    return f"CASE WHEN {none} WHEN v.a = v.b THEN 1D ELSE {some} END"


def _jaro_winkler() -> str:
    """Winkler's: a tenth of what is missing to 1 for each of up to four equal first letters, when Jaro's is above 0.7."""
    shared = " ".join(
        f"WHEN substr(v.a, 1, {n}) = substr(v.b, 1, {n}) AND least(length(v.a), length(v.b)) >= {n} THEN {n}"
        for n in (4, 3, 2, 1)
    )
    bonus = let("x", f"CASE {shared} ELSE 0 END * 0.1D", let("y", "1D - j", _fused("x", "y", "j")))
    return let("j", _jaro(), f"if(j > 0.7D, {bonus}, j)")


def _fused(x: str, y: str, z: str) -> str:
    """x * y + z, rounded once: the product's own rounding error (Dekker, 1971) and the sum's (Knuth) are added at the end."""
    high = "134217729D * {0} - (134217729D * {0} - {0})"
    halves = f"struct({high.format(x)} AS xh, {high.format(y)} AS yh, {x} * {y} AS p)"
    xl, yl = f"({x} - h.xh)", f"({y} - h.yh)"
    rest = f"((h.xh * h.yh - h.p) + h.xh * {yl} + {xl} * h.yh) + {xl} * {yl}"
    lost = f"(h.p - (t - (t - h.p))) + ({z} - (t - h.p))"
    return let("h", halves, let("t", f"h.p + {z}", f"t + (({rest}) + ({lost}))"))


def _reaches(*, winkler: bool) -> str:
    """Whether a similarity is at least `least`: Splink's compiled functions decide where half a transposition cannot matter."""
    jaro, both = (f"{name}({bytes_of('a')}, {bytes_of('b')})" for name in ("jaro_sim", "jaro_winkler"))
    certain = f"WHEN {both if winkler else jaro} >= least + 1e-9D THEN true "
    if winkler:
        # The bonus begins above 0.7: just below, half a transposition may be worth the bonus too.
        certain += f"WHEN {jaro} <= 0.7D - {ODD}D AND least > 0.7D OR {jaro} > 0.7D AND {both} < least - {ODD}D THEN false "
    else:
        certain += f"WHEN {jaro} < least - {ODD}D THEN false "
    exact = _with_both(_jaro_winkler() if winkler else _jaro())
    return f"CASE WHEN a = '' OR b = '' THEN least <= 0 {certain}ELSE {exact} >= least END"
