"""The client without an endpoint; with one: tests/serving/test_endpoint.py."""

import numpy as np
import pytest
import xpfeh
from xpfeh.columns import CATALOG


def test_stars_that_are_all_rejected_give_a_table_without_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    health = {"release": "dr3", "max_stars": 1000, "model_version": "best-0"}
    monkeypatch.setattr(xpfeh.Client, "health", lambda self: health)
    spectra = {"source_id": [17], "flux": np.ones((1, 3)), "flux_error": np.ones((1, 343))}
    with pytest.warns(UserWarning, match="1 row was rejected"):
        answer = xpfeh.Client("http://127.0.0.1:9").predict(spectra)
    assert (answer.colnames, len(answer)) == (CATALOG.names, 0)
    assert answer.meta["rejected"] == ["the table: row 0, source_id 17: flux: 3 numbers, not 343"]
