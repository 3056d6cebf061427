"""Requests, read without a server: each star is checked on its own."""

import json
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
import xpfeh
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from xpfeh.errors import UserError
from xpfeh.experiments.models import bundle_folder
from xpfeh.flags import Flag
from xpfeh.inference.predictor import Predictor
from xpfeh.serving import answers
from xpfeh.serving.pictures import picture
from xpfeh.serving.protocols import inference, invocation
from xpfeh.serving.requested import RequestedStars, Star, from_ids, read_arrow, read_json
from xpfeh.sources.coefficients import LIST_COLUMNS
from xpfeh.sources.given_table import GivenTable
from xpfeh.sources.reader import SpectraFile

from tests.genuine import datalink_file, gaia_source_rows
from tests.sources.reading import read_whole

BIG = 5_937_083_312_263_887_616


def no_archive(ids: np.ndarray) -> SpectraFile:
    raise UserError("no spectrum was sent, and this endpoint does not query Gaia's archive")


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return Predictor(bundle_folder("pretrained"))


def star(spectra: dict[str, np.ndarray], i: int, **changes: Any) -> dict[str, Any]:
    known = {name: values[i].tolist() for name, values in spectra.items()} | changes
    return {name: value for name, value in known.items() if value is not None and value == value}


def requested(*stars: Any) -> RequestedStars:
    return read_json(json.dumps({"stars": stars}).encode(), "dr3", no_archive)


def by_json(body: bytes) -> RequestedStars:
    return read_json(body, "dr3", no_archive)


def answered(found: RequestedStars, predictor: Predictor) -> list[dict[str, Any]]:
    catalogs = answers.catalog_of([raw for raw, _ in found.spectra], predictor)
    return json.loads(answers.as_json(found, catalogs, predictor))["stars"]


def test_an_invalid_star_gets_a_reason_and_the_others_are_answered(
    spectra: dict[str, np.ndarray], predictor: Predictor, tmp_path: Path
) -> None:
    coefficients = {n: v[0].tolist() for n, v in read_whole(datalink_file("csv", tmp_path)).columns.items()}
    short = coefficients | {"source_id": BIG + 1, "rp_coefficients": coefficients["rp_coefficients"][:54]}
    wrong = {
        0: (star(spectra, 0, flux=[1.0] * 342), "flux: 342 numbers, not 343"),
        2: (star(spectra, 2, dec=91.0), "dec: Input should be less than or equal to 90"),
        3: (star(spectra, 3, source_id=1.5e18), "source_id"),
        5: ("Arcturus", "valid dictionary"),
        6: (star(spectra, 6, colour=1.0), "colour"),
        7: (short, "rp_coefficients: 54 numbers, not 55"),
        8: ({"source_id": 7}, "no spectrum was sent, and this endpoint does not query Gaia's archive"),
        9: (star(spectra, 9) | {"bp_coefficients": [1.0]}, "not both"),
        10: (star(spectra, 10, flux_error=None), "belong together"),
        11: (star(spectra, 1), "repeated source_id"),
        12: (star(spectra, 12, dec=None), "ra and dec belong together"),
        13: (
            star(spectra, 13, phot_g_mean_mag=-9999.0),
            "phot_g_mean_mag: Input should be greater than",
        ),
        14: (star(spectra, 14, phot_bp_mean_mag=99.0), "phot_bp_mean_mag: Input should be less than or equal to 30"),
        15: (star(spectra, 15, rgeo=-999.0), "rgeo: Input should be greater than or equal to 0.1"),
    }
    stars = [wrong[i][0] if i in wrong else star(spectra, i) for i in range(16)]
    stars[4] = coefficients
    rows = answered(requested(*stars), predictor)
    assert [i for i, row in enumerate(rows) if "error" in row] == list(wrong)
    for i, (_, reason) in wrong.items():
        assert reason in rows[i]["error"], i
    assert rows[0]["source_id"] == spectra["source_id"][0]
    assert rows[3]["source_id"] is None
    assert rows[4]["source_id"] == BIG
    assert any(name.startswith("NO_PHOTOMETRY") for name in rows[4]["flag_names"])


def test_stars_by_identifier_alone_come_from_the_archive(spectra: dict[str, np.ndarray], predictor: Predictor) -> None:
    ids = spectra["source_id"][:3].tolist()
    stars = {name: values[:3] for name, values in spectra.items()}
    found = from_ids(ids, "dr3", lambda given: GivenTable({**stars, "source_id": given}))
    assert [row["FEH"] for row in answered(found, predictor)] == [
        row["FEH"] for row in answered(requested(*(star(spectra, i) for i in range(3))), predictor)
    ]
    one = from_ids(ids[:1], "dr3", lambda given: GivenTable({n: v[:1] for n, v in stars.items()}))
    assert picture(one, predictor).startswith(b"\x89PNG")
    assert from_ids(ids, "dr3", no_archive).reasons[2].startswith("no spectrum was sent")


def test_reasons_do_not_echo_what_was_sent(spectra: dict[str, np.ndarray]) -> None:
    found = requested(star(spectra, 0, flux=["secret"] * 343, flux_error=["secret"] * 343))
    (reason,) = found.reasons.values()
    assert "secret" not in reason
    assert reason.endswith("and 683 more")
    assert len(reason) < 400


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"[]", 'must be {"stars"'),
        (b'{"stars": {}}', 'must be {"stars"'),
        (b'{"stars": [], "more": 1}', 'must be {"stars"'),
        (b'{"stars": []}', "the request has 0 stars; it must have 1 to 1000"),
        (b'{"stars": [' + b"{}," * 1000 + b"{}]}", "the request has 1001 stars"),
        (b'{"stars": [{"source_id": NaN}]}', "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b'{"stars": "\xff"}', "not JSON"),
    ],
)
def test_an_invalid_body_is_refused_in_one_line(body: bytes, message: str) -> None:
    with pytest.raises(UserError) as refused:
        read_json(body, "dr3", no_archive)
    assert message in str(refused.value)
    assert len(str(refused.value)) < 300


def test_arrow_gives_what_json_gives(spectra: dict[str, np.ndarray], predictor: Predictor) -> None:
    names = [name for name in spectra if name != "rgeo"]
    lists = {name: pa.array([row.tolist() for row in spectra[name]]) for name in ("flux", "flux_error")}
    table = pa.table({name: lists.get(name, spectra[name]) for name in names})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    by_arrow = read_arrow(sink.getvalue().to_pybytes(), "dr3", no_archive)
    by_json = requested(*(star(spectra, i) for i in range(len(spectra["source_id"]))))
    tables = [
        answers.as_table(found, answers.catalog_of([raw for raw, _ in found.spectra], predictor))
        for found in (by_arrow, by_json)
    ]
    assert tables[0].equals(tables[1])
    assert len(tables[0]) == 300


def test_a_star_with_its_parallax_gets_the_same_bytes_on_every_path(predictor: Predictor, tmp_path: Path) -> None:
    """A genuine spectrum with a genuine row of gaia_source: as a file, a table in memory, JSON and Arrow."""
    path = datalink_file("csv", tmp_path)
    row = gaia_source_rows().row(by_predicate=pl.col("source_id") == 6636090339113063296, named=True)
    known = {name: row[name] for name in Star.model_fields if row.get(name) is not None}
    known |= {"source_id": BIG, "ra": 251.5, "dec": -51.5}
    photometry = tmp_path / "gaia_source.csv"
    pl.DataFrame({name: [value] for name, value in known.items()}).write_csv(photometry)
    lists = {n: v for n, v in read_whole(path).columns.items() if n in LIST_COLUMNS}
    table = {**{name: [value] for name, value in known.items()}, **lists}
    arrow = pa.table({name: [values[0].tolist()] if name in lists else values for name, values in table.items()})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, arrow.schema) as stream:
        stream.write_table(arrow)
    answers_of = [
        answers.catalog_of([raw for raw, _ in found.spectra], predictor)[0]
        for found in (
            requested(known | {name: values[0].tolist() for name, values in lists.items()}),
            read_arrow(sink.getvalue().to_pybytes(), "dr3", no_archive),
        )
    ]
    from_file = xpfeh.predict(path, photometry=photometry)
    from_table = xpfeh.predict(table)
    assert from_file["flags"][0] & Flag.PARALLAX_DISTANCE
    assert from_file["M_G"][0] > 5  # a dwarf 470 pc away
    for name in set(from_file.colnames) - {"model_version"}:
        bits = np.asarray(from_file[name]).tobytes()
        for other in (from_table, *answers_of):
            assert np.asarray(other[name], from_file[name].dtype).tobytes() == bits, name


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"source_id": [1], "colour": [1.0]}, "unknown column: colour"),
        ({"source_id": [1.0]}, "source_id must be a column of 64-bit integers"),
        ({"flux": [1.0]}, "source_id must be"),
    ],
)
def test_invalid_arrow_is_refused(columns: dict[str, list], message: str) -> None:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, pa.table(columns).schema) as stream:
        stream.write_table(pa.table(columns))
    body = sink.getvalue().to_pybytes()
    with pytest.raises(UserError, match=message):
        read_arrow(body, "dr3", no_archive)
    with pytest.raises(UserError, match="not an Arrow stream"):
        read_arrow(body[: len(body) // 2], "dr3", no_archive)


@pytest.mark.parametrize("compression", ["lz4", "zstd"])
def test_compressed_arrow_is_refused_before_it_is_unpacked(compression: str) -> None:
    zeros = pa.table({"source_id": np.zeros(2_000_000, np.int64)})  # 16 MB
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, zeros.schema, options=pa.ipc.IpcWriteOptions(compression=compression)) as stream:
        stream.write_table(zeros)
    with pytest.raises(UserError, match="compressed Arrow streams are not accepted"):
        read_arrow(sink.getvalue().to_pybytes(), "dr3", no_archive)
    words = pa.table({"source_id": pa.array(["x", "y"]).dictionary_encode()})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, words.schema) as stream:
        stream.write_table(words)
    with pytest.raises(UserError, match="dictionaries in an Arrow stream are not accepted"):
        read_arrow(sink.getvalue().to_pybytes(), "dr3", no_archive)


def test_tables_have_a_row_for_each_star_and_its_error(spectra: dict[str, np.ndarray], predictor: Predictor) -> None:
    found = requested(star(spectra, 0, flux=[1.0]), star(spectra, 1))
    table = answers.as_table(found, answers.catalog_of([raw for raw, _ in found.spectra], predictor))
    assert table["source_id"].to_pylist() == spectra["source_id"][:2].tolist()
    assert table["error"].to_pylist() == ["flux: 1 numbers, not 343", None]
    assert table["FEH"][0].as_py() is None
    assert table["good"].to_pylist()[0] is False
    assert table["good"].null_count == 0
    assert answers.as_csv(table).splitlines()[1].startswith(str(spectra["source_id"][0]).encode() + b",")
    assert b"<VOTABLE" in answers.as_votable(table)
    with pa.ipc.open_stream(answers.as_arrow(table)) as stream:
        assert stream.read_all().equals(table)


def test_coefficients_need_no_correlations(tmp_path: Path, predictor: Predictor) -> None:
    columns = read_whole(datalink_file("csv", tmp_path)).columns
    given = {name: columns[name][0].tolist() for name in ("source_id", *LIST_COLUMNS) if "correlations" not in name}
    (row,) = answered(requested(given), predictor)
    assert any(name.startswith("NO_CORRELATIONS") for name in row["flag_names"])
    assert np.isfinite(row["FEH"])


BEGINNINGS = ("inputs", "dataframe_split", "dataframe_records")
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
ANY_FIELD = (
    ANYTHING | st.integers(0, 2**63 - 1) | st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=3)
)
STARS = st.fixed_dictionaries({}, optional=dict.fromkeys((*Star.model_fields, "x" * 1000), ANY_FIELD))


def refusal(read: Callable[[bytes], object], body: bytes) -> str:
    with pytest.raises(UserError) as refused:
        read(body)
    return str(refused.value)


@hypothesis_settings(max_examples=100)
@given(stars=st.lists(STARS | ANYTHING, min_size=1, max_size=5))
def test_any_star_is_read_or_gets_one_short_reason(stars: list[Any]) -> None:
    found = requested(*stars)
    answered = [place for _, places in found.spectra for place in places.tolist()]
    assert sorted([*answered, *found.reasons]) == list(range(len(stars)))
    assert all(reason and len(reason) < 500 for reason in found.reasons.values())


@hypothesis_settings(max_examples=200)
@given(content=ANYTHING)
def test_any_other_json_is_refused_in_one_short_line(content: Any) -> None:
    for read in (by_json, invocation, inference):
        message = refusal(read, json.dumps(content).encode())
        assert len(message) < 500
        assert "\n" not in message


@hypothesis_settings(max_examples=200)
@given(body=st.binary(max_size=300))
def test_any_bytes_are_refused_in_one_short_line(body: bytes) -> None:
    for read in (by_json, lambda given: read_arrow(given, "dr3", no_archive), invocation, inference):
        assert len(refusal(read, body)) < 500


@hypothesis_settings(max_examples=200)
@given(content=st.fixed_dictionaries({}, optional=dict.fromkeys(BEGINNINGS, ANYTHING)))
def test_any_tensors_are_refused_in_one_short_line(content: Any) -> None:
    for read in (invocation, inference):
        assert len(refusal(read, json.dumps(content).encode())) < 500


def test_a_given_reddening_gets_the_same_bytes_on_every_path(
    spectra: dict[str, np.ndarray], hint_bundle: Path, tmp_path: Path
) -> None:
    """As JSON and Arrow, with samples and with an identifier alone, and as a table in memory."""
    predictor = Predictor(hint_bundle)
    stars = {name: values[:3] for name, values in spectra.items() if name != "rgeo"}
    ids, ebv = stars["source_id"], [0.3, None, 0.0]
    table = {**stars, "ebv": np.array([0.3, np.nan, 0.0])}
    lists = {name: pa.array([row.tolist() for row in stars[name]]) for name in ("flux", "flux_error")}
    arrow = pa.table({name: lists.get(name, values) for name, values in table.items()})
    by_id = pa.table({"source_id": ids, "ebv": pa.array(ebv)})

    def bring(given: np.ndarray) -> SpectraFile:
        assert given.tolist() == ids.tolist()
        return GivenTable(stars)

    json_of_ids = json.dumps({"stars": [{"source_id": int(i), "ebv": e} for i, e in zip(ids, ebv, strict=True)]})
    found = [
        requested(*(star(spectra, i, ebv=ebv[i]) for i in range(3))),
        read_arrow(streamed(arrow), "dr3", no_archive),
        read_json(json_of_ids.encode(), "dr3", bring),
        read_arrow(streamed(by_id), "dr3", bring),
    ]
    expected = xpfeh.predict(table, hint_bundle)
    assert expected["EBV"].tolist()[::2] == [0.3, 0.0]
    assert [bool(flags & Flag.OWN_EBV) for flags in expected["flags"]] == [True, False, True]
    for each in found:
        (catalog,) = answers.catalog_of([raw for raw, _ in each.spectra], predictor)
        for name in set(expected.colnames) - {"model_version"}:
            same = np.asarray(catalog[name], expected[name].dtype).tobytes()
            assert np.asarray(expected[name]).tobytes() == same, name


def test_an_impossible_reddening_is_refused(spectra: dict[str, np.ndarray]) -> None:
    found = requested(star(spectra, 0, ebv=-0.1), star(spectra, 1, ebv=101.0), star(spectra, 2, ebv="much"))
    assert [reason.split(":")[0] for reason in found.reasons.values()] == ["ebv"] * 3
    with pytest.raises(UserError, match="ebv of row 0 is -1, outside 0 to 100"):
        read_arrow(streamed(pa.table({"source_id": [1], "ebv": [-1.0]})), "dr3", no_archive)


def streamed(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return sink.getvalue().to_pybytes()


def test_a_client_lists_the_stars_that_the_endpoint_refuses(
    spectra: dict[str, np.ndarray], predictor: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = requested(star(spectra, 0), star(spectra, 1, dec=91.0))
    table = answers.as_table(found, answers.catalog_of([raw for raw, _ in found.spectra], predictor))
    client = xpfeh.Client("http://127.0.0.1:9")
    health = {"release": "dr3", "max_stars": 10, "max_file_bytes": 10**6, "model_version": predictor.version}
    monkeypatch.setattr(client, "health", lambda: health)
    monkeypatch.setattr(client, "_answer", lambda *given: nullcontext(table))
    with pytest.warns(UserWarning, match="1 row was rejected"):
        answer = client.predict({name: values[:2] for name, values in spectra.items()})
    assert answer["source_id"].tolist() == [spectra["source_id"][0]]
    (line,) = answer.meta["rejected"]
    assert line.startswith(f"http://127.0.0.1:9: row 1, source_id {spectra['source_id'][1]}: dec: Input should be")
