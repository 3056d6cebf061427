import numpy as np
from xpfeh.columns import FEATURES, to_arrays, to_table
from xpfeh.settings import PreprocessSettings
from xpfeh.xp.preprocess import preprocess


def test_arrays_survive_conversion_to_arrow(spectra: dict[str, np.ndarray]) -> None:
    features = preprocess(spectra, PreprocessSettings())
    back = to_arrays(to_table(features, FEATURES))
    for name, values in features.items():
        assert back[name].dtype == values.dtype
        np.testing.assert_array_equal(back[name], values)


def test_what_is_unknown_is_null_in_the_table(spectra: dict[str, np.ndarray]) -> None:
    features = preprocess(spectra, PreprocessSettings())
    assert to_table(features, FEATURES)["rgeo"].null_count == 300


def test_every_column_is_described_and_numbers_carry_units() -> None:
    for field in FEATURES:
        assert field.metadata[b"description"]
    units = {name: FEATURES.field(name).metadata[b"unit"] for name in ("ra", "ebv", "rgeo", "flags")}
    assert units == {"ra": b"deg", "ebv": b"mag", "rgeo": b"pc", "flags": b""}
