"""Gaia's text against csv and float(), cell by cell."""

import csv
import io
import math
from unittest.mock import patch

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from xpfeh.sources import text_rows
from xpfeh.sources.text_rows import parse_rows

NAMES = ["solution_id", "source_id", "a", "note", "b"]


plain = st.decimals(-100, 100, places=7, allow_nan=False).map(lambda d: f"{d:f}")
scientific = st.builds(lambda m, e: f"{m}E{e}", st.integers(-(10**9), 10**9), st.integers(-30, 30))
exact = st.floats(allow_nan=False, allow_infinity=False).map(repr)
word = st.sampled_from(
    ["", "null", "NaN", "-", ".", "1.2.3", "0x1", "1e", "--1", "99999999999999999999", "true", "{}", "[2", "1 2"]
)
numbers = st.one_of(
    st.lists(plain, max_size=6), st.lists(plain | scientific | exact, max_size=6), st.lists(plain | word, max_size=6)
)
brackets = st.sampled_from([("[", "]"), ("(", ")")])
lists = st.builds(lambda n, b, comma: b[0] + comma.join(n) + b[1], numbers, brackets, st.sampled_from([",", ", "]))
cells = lists | st.sampled_from(["null", "", "[]", "()", "nonsense"])
notes = st.text(st.characters(codec="ascii", exclude_characters="\r\n\0"), max_size=8)
rows = st.tuples(st.just("7"), st.integers(-(2**63), 2**63 - 1).map(str), cells, notes, cells)


@given(st.lists(st.text('0123456789,"[]()-.e \r\n', max_size=12), max_size=6))
def test_whatever_is_in_a_file_lines_stay_lines(noise: list[str]) -> None:
    text = "".join(f"{part}\n" for part in noise) + "42,[1]\n"
    table = parse_rows(text.encode(), ",", ["source_id", "a"], ("a",))
    assert table.num_rows == sum(line.strip("\r") != "" for line in text.split("\n"))
    assert (table["source_id"].to_pylist()[-1], table["a"].to_pylist()[-1]) == (42, [1.0])


def expected(cell: str) -> list[float | None]:
    inside = cell.strip("[]() ")
    if inside in ("", "null"):
        return []
    return [number(part.strip(" ")) for part in inside.split(",")]


def number(text: str) -> float | None:
    try:
        return float(text) if text[:1].isdigit() or text[:1] in "+-.N" else None
    except ValueError:
        return None


def same(a: float | None, b: float | None) -> bool:
    if a is None or b is None:
        return a is b
    return a == b or (math.isnan(a) and math.isnan(b))


@given(st.lists(rows, min_size=1, max_size=5), st.sampled_from(["\n", "\r\n"]), st.booleans())
def test_reads_what_csv_and_float_read(lines: list[tuple[str, ...]], newline: str, last: bool) -> None:
    text = io.StringIO()
    csv.writer(text, lineterminator=newline).writerows(lines)
    data = text.getvalue() if last else text.getvalue().removesuffix(newline)
    table = parse_rows(data.encode(), ",", NAMES, ("a", "b"))
    assert table["source_id"].to_pylist() == [int(line[1]) for line in lines]
    for name, place in (("a", 2), ("b", 4)):
        for found, line in zip(table[name].to_pylist(), lines, strict=True):
            wanted = expected(line[place])
            assert len(found) == len(wanted)
            assert all(map(same, found, wanted)), (line[place], found)


def test_a_short_line_has_missing_lists_and_another_order_of_columns_is_followed() -> None:
    table = parse_rows(b'[1,2],5\n"[3,4]",6,more\n\n[9],x\n', ",", ["a", "source_id"], ("a", "b"))
    assert table["a"].to_pylist() == [[1.0, 2.0], [3.0, 4.0], [9.0]]
    assert table["b"].to_pylist() == [[], [], []]
    assert table["source_id"].to_pylist() == [5, 6, None]


@pytest.mark.parametrize("broken", ['"[1,2]', '"[1,2', '"[1,2]"x', '"', '[1,2]"', "caf\xe9", "[1", '"[1,2] ,"" [3'])
def test_a_broken_row_leaves_its_neighbours_whole(broken: str) -> None:
    """An identifier that lost its first digit would be another star's, and nothing would show it."""
    good = b'5853498713190525696,"[1.5,2]",[7]\n'
    text = good + b"123," + broken.encode("latin-1") + b",[8]\n" + good
    table = parse_rows(text, ",", ["source_id", "a", "b"], ("a", "b"))
    assert table["source_id"].to_pylist() == [5853498713190525696, 123, 5853498713190525696]
    for row in (0, 2):
        assert (table["a"][row].as_py(), table["b"][row].as_py()) == ([1.5, 2.0], [7.0])


@pytest.mark.parametrize("digits", [7, 9, 15, 17])
def test_every_last_bit_of_real_looking_numbers(digits: int) -> None:
    values = np.random.default_rng(digits).normal(size=4000) * 10.0 ** np.random.default_rng(1).integers(-9, 4, 4000)
    words = [f"{value:.{digits}g}" for value in values]
    table = parse_rows(f'1,"[{",".join(words)}]"\n'.encode(), ",", ["source_id", "a"], ("a",))
    assert pa.array([[float(word) for word in words]]).equals(table["a"].combine_chunks())


@given(st.lists(st.text('123,"[]().- ', max_size=12).map(str.encode), min_size=1, max_size=5))
def test_the_quick_way_finds_the_fields_of_the_careful_one(parts: list[bytes]) -> None:
    line, lists = b",".join(parts), {1, 2}
    with patch.object(text_rows, "_careful_fields", wraps=text_rows._careful_fields) as careful:
        found = text_rows._fields(line, b",", lists)
    assert careful.called or found == text_rows._careful_fields(line, b",", lists)


def test_lists_without_quotes_in_columns_divided_by_blanks() -> None:
    table = parse_rows(b'5 "a b" [1.5,2]\n6 c null\n', " ", ["source_id", "note", "a"], ("a",))
    assert table.to_pylist() == [{"source_id": 5, "a": [1.5, 2.0]}, {"source_id": 6, "a": []}]


def test_identifiers_alone_are_those_of_the_whole_rows() -> None:
    given = (b'[1,2],5\n"[3,4]",6\n', ",", ["a", "source_id"], ("a",))
    assert parse_rows(*given, ids_only=True).to_pydict() == {"source_id": [5, 6]}
    assert parse_rows(*given)["source_id"].to_pylist() == [5, 6]
