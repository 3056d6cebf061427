"""Jobs without Ray: orders, answers, what is kept, and for how long."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow.fs import FileSelector
from starlette.exceptions import HTTPException
from xpfeh.archive.archives import Services
from xpfeh.archive.cache import bring
from xpfeh.dataset.dataset import Dataset
from xpfeh.errors import UserError
from xpfeh.experiments.models import bundle_folder
from xpfeh.inference.predictor import Predictor
from xpfeh.serving.answers import CSV, TABLES, answered, as_table
from xpfeh.serving.config import EndpointArgs
from xpfeh.serving.guard import Guard
from xpfeh.serving.jobs import intake
from xpfeh.serving.jobs.desk import MAX_KEPT, MAX_UNFINISHED, Desk
from xpfeh.serving.jobs.folder import JobEnd, JobFolder, JobOrder, JobProgress, JobState, folders, new_id
from xpfeh.serving.jobs.intake import ANSWERS, JobInput, begin, of_arrow, of_file, of_ids
from xpfeh.serving.jobs.work import answers_of, gather
from xpfeh.serving.keys import Key
from xpfeh.serving.requested import read_arrow
from xpfeh.serving.uploads import predict

from tests.archive.archive_server import ArchiveServer
from tests.genuine import datalink_file

STAR = 5_937_083_312_263_887_616
PRETRAINED = bundle_folder("pretrained")


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return Predictor(PRETRAINED)


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "_SHARD", 5)


def arrow_stream(spectra: dict[str, np.ndarray], rows: list[int], too_short: int) -> bytes:
    lists = {name: [row.tolist() for row in spectra[name][rows]] for name in ("flux", "flux_error")}
    lists["flux"][too_short].pop()
    table = pa.table({name: lists.get(name, spectra[name][rows]) for name in spectra if name != "rgeo"})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return sink.getvalue().to_pybytes()


def worked(given: JobInput, predictor: Predictor, jobs: Path | str) -> tuple[Dataset, pa.Table]:
    """The ledger and the result of a job, done in this process."""
    folder = JobFolder(str(jobs), "anybody", new_id())
    begin(folder, given, PRETRAINED, predictor)
    dataset = Dataset.at(folder.uri(ANSWERS))
    for shard in dataset.plan.shards:
        dataset.commit(shard, answers_of(folder, shard, predictor))
    return dataset, gather(dataset)


def test_a_table_gets_the_bytes_that_a_request_gets(
    spectra: dict[str, np.ndarray], predictor: Predictor, tmp_path: Path
) -> None:
    rows = [*range(12), 3, 11, 7]  # in three shards; the first 7 is invalid, so the other is not a repeat
    stream = arrow_stream(spectra, rows, too_short=7)
    (tmp_path / "stars.arrow").write_bytes(stream)
    given = of_arrow(tmp_path / "stars.arrow", tmp_path, archive=False)
    dataset, result = worked(given, predictor, tmp_path / "jobs")
    requested = read_arrow(stream, "dr3", lambda ids: pytest.fail("asks the archive"))
    (_, (expected,)) = answered([(requested, CSV)], predictor)
    assert TABLES[CSV](result) == expected
    assert [shard.rows for shard in dataset.plan.shards] == [5, 5, 5]
    assert dataset.plan.model == predictor.version
    assert sum(record.rows_written + sum(record.rejected.values()) for record in dataset.records()) == 15
    reasons = result["error"].to_pylist()
    assert reasons[12:] == ["repeated source_id"] * 2 + [None]
    assert [i for i, reason in enumerate(reasons) if reason] == [7, 12, 13]


def test_identifiers_get_their_spectra_from_the_archive(
    archive: ArchiveServer, services: Services, predictor: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive.absent = {77}
    monkeypatch.setattr("xpfeh.archive.cache.bring", lambda ids, release: bring(ids, release, services))
    ids = [STAR + 5, 77, STAR, STAR + 1, STAR + 2, STAR + 3, STAR]
    given = of_ids(json.dumps({"source_ids": ids}).encode(), tmp_path)
    _, result = worked(given, predictor, tmp_path / "jobs")
    assert result["source_id"].to_pylist() == ids
    assert result["error"].to_pylist() == [None, "not a source of Gaia DR3", *[None] * 4, "repeated source_id"]
    assert len(set(result["FEH"].to_pylist()[2:6])) == 1


def test_a_file_gets_the_bytes_that_an_upload_gets(predictor: Predictor, tmp_path: Path) -> None:
    path = datalink_file("fits", tmp_path)
    requested, catalogs = predict(path, path.name, predictor, lambda stars: None)
    given = of_file(path, "mine.fits")
    assert (given.stars, given.name) == (1, "mine.fits")
    _, result = worked(given, predictor, tmp_path / "jobs")
    assert TABLES[CSV](result) == TABLES[CSV](as_table(requested, catalogs))


@pytest.mark.slow
def test_jobs_can_be_in_a_bucket(predictor: Predictor, tmp_path: Path, place: str) -> None:
    jobs, path = place.format("jobs"), datalink_file("fits", tmp_path)
    assert list(folders(jobs)) == []
    _, result = worked(of_file(path, "mine.fits"), predictor, jobs)
    assert result["error"].to_pylist() == [None]
    (folder,) = folders(jobs, "anybody")
    assert folder.job().state == JobState.QUEUED
    folder.write(JobEnd(state=JobState.DONE))
    folder.put("result.fits", path)
    folder.delete(but_results=True)
    assert folder.fetch("result.fits", tmp_path).read_bytes() == path.read_bytes()
    assert sorted(info.base_name for info in folder.fs.get_file_info(FileSelector(folder.path))) == [
        "card.json", "end.json", "order.json", "result.fits",
    ]  # fmt: skip
    folder.delete()
    assert list(folders(jobs)) == []


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"{", "Invalid JSON"),
        (b'{"source_ids": []}', "source_ids: List should have at least 1 item"),
        (b'{"source_ids": [1.5]}', r"source_ids\.0: Input should be a valid integer$"),
        (b'{"source_ids": [' + b'"x",' * 1000 + b"-1]}", r"source_ids\.0: Input should be a valid integer$"),
        (b'{"source_ids": [1], "name": 2}', "name: Extra inputs are not permitted"),
    ],
)
def test_invalid_identifiers_are_refused_in_one_line(body: bytes, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        of_ids(body, tmp_path)


def test_an_invalid_table_is_refused_before_a_job_starts(tmp_path: Path) -> None:
    path = tmp_path / "stars.arrow"
    for columns, message in (
        ({"source_id": [1, None]}, "source_id is missing for some stars"),
        ({"source_id": [1], "nonsense": [2]}, "unknown column: nonsense"),
        ({"source_id": [1], "ebv": [200.0]}, "ebv of row 0 is 200"),
        ({"source_id": []}, "source_id must be a column of 64-bit integers"),
    ):
        table = pa.table(columns)
        with pa.ipc.new_stream(path, table.schema) as stream:
            stream.write_table(table)
        with pytest.raises(UserError, match=message):
            of_arrow(path, tmp_path, archive=True)
    path.write_bytes(b"junk")
    with pytest.raises(UserError, match="not an Arrow stream"):
        of_arrow(path, tmp_path, archive=True)
    (tmp_path / "mine.csv").write_text("a,b\n1,2\n")
    with pytest.raises(UserError, match=r"^mine\.csv: not a file of XP"):
        of_file(tmp_path / "mine.csv", "mine.csv")
    assert not (tmp_path / "stars.parquet").exists()


def made_folder(jobs: Path, owner: str, *files: JobOrder | JobProgress | JobEnd) -> JobFolder:
    folder = JobFolder(str(jobs), owner, new_id())
    for content in files:
        folder.write(content)
    return folder


def test_a_job_is_kept_for_a_day_after_its_last_progress(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    old, new = now - timedelta(hours=30), now - timedelta(hours=20)
    begun = JobOrder(source="stars.parquet", name="the stars", stars=9, created=old)
    going = JobProgress(done=5, rejected=1, at=new)
    folder = made_folder(tmp_path, "me", begun, going)
    status = folder.job()
    assert status
    assert (status.state, status.stars, status.done, status.rejected) == (JobState.RUNNING, 9, 5, 1)
    assert status.expires == new + timedelta(days=1)
    folder.write(JobEnd(state=JobState.FAILED, error="why", at=new))
    assert (folder.job().state, folder.job().error) == (JobState.FAILED, "why")
    for files in ((begun,), (begun, JobProgress(at=old)), (begun, going, JobEnd(state=JobState.DONE, at=old))):
        assert made_folder(tmp_path, "me", *files).job() is None
    half = made_folder(tmp_path, "me", going)  # the order was never written
    assert (half.job(), half.is_over()) == (None, False)
    before = JobFolder(str(tmp_path), "me", f"{int(old.timestamp()):08x}{half.id[8:]}")
    before.write(going)
    assert before.is_over()
    assert before.id in [each.id for each in folders(str(tmp_path))]
    before.delete()
    assert before.id not in [each.id for each in folders(str(tmp_path))]
    (tmp_path / "me" / "not a job").mkdir()
    known = [each.id for each in folders(str(tmp_path))]
    assert "not a job" not in known
    made_folder(tmp_path, "me", begun).store("order.json", b"{")  # it must not keep the others from being worked on
    assert [each.job() for each in folders(str(tmp_path)) if each.id not in known] == [None]


def test_only_results_and_json_are_kept_of_a_finished_job(tmp_path: Path) -> None:
    folder = made_folder(tmp_path, "me", JobEnd(state=JobState.DONE))
    for name in ("stars.parquet", "result.csv", "model.onnx", "answers/part-00000.parquet"):
        folder.store(name, b"x")
    folder.delete(but_results=True)
    assert sorted(path.name for path in Path(folder.path).iterdir()) == ["end.json", "result.csv"]


def test_a_repeated_submission_with_another_body_is_refused(tmp_path: Path, predictor: Predictor) -> None:
    jobs, name = tmp_path / "jobs", "an identifier of a request"
    desk = Desk(EndpointArgs(model="pretrained", jobs=str(jobs)), PRETRAINED, predictor)
    guard = Guard(None)
    folder = JobFolder(str(jobs), "anybody", new_id(name))
    given = of_ids(b'{"source_ids": [1, 2]}', tmp_path)
    begin(folder, given, PRETRAINED, predictor)
    assert asyncio.run(desk.order(None, given, guard, name)).id == folder.id
    other = of_ids(b'{"source_ids": [1, 3]}', tmp_path)
    with pytest.raises(HTTPException, match="422: an earlier job with this Idempotency-Key has another body"):
        asyncio.run(desk.order(None, other, guard, name))
    folder.delete()


def test_a_key_has_its_own_jobs_and_not_too_many(tmp_path: Path, predictor: Predictor) -> None:
    mine, other = (
        Key(name=name, sha256=digit * 64, made=datetime.now(UTC)) for name, digit in (("a", "1"), ("b", "2"))
    )
    desk = Desk(EndpointArgs(model="pretrained", jobs=str(tmp_path)), PRETRAINED, predictor)
    order = JobOrder(source="stars.parquet", name="the stars", stars=9, created=datetime.now(UTC))
    made = [made_folder(tmp_path, mine.sha256[:32], order) for _ in range(MAX_UNFINISHED)]
    assert {job.id for job in desk.all(mine)} == {folder.id for folder in made}
    assert desk.find(mine, made[0].id)[1].stars == 9
    for key in (other, None):
        desk.admit(key)
        assert desk.all(key) == []
        with pytest.raises(HTTPException, match="404: this key has no such job"):
            desk.find(key, made[0].id)
    with pytest.raises(HTTPException, match="429: the limit of this key is 3 unfinished jobs") as refused:
        desk.admit(mine)
    assert refused.value.headers == {"Retry-After": "60"}
    again = JobFolder(str(tmp_path), made[0].owner, new_id("an identifier of a request"))
    again.store("stars.parquet", b"")
    with pytest.raises(HTTPException, match="503: this job is still being accepted"):
        desk.admit(mine, "an identifier of a request")
    made[0].delete()  # room for a new job
    dead = JobFolder(str(tmp_path), made[0].owner, f"{int(again.id[:8], 16) - 61:08x}{again.id[8:]}")
    dead.store("stars.parquet", b"")
    again.delete()
    assert desk.admit(mine, "an identifier of a request") is None  # its replica died a minute ago
    dead.delete()
    made[0].write(order)
    again.write(order)
    assert desk.admit(mine, "an identifier of a request").id == again.id  # though the key has no room for a new one
    again.delete()
    for folder in made:
        folder.write(JobEnd(state=JobState.DONE))
    desk.admit(mine)
    for _ in range(MAX_KEPT - MAX_UNFINISHED):
        made_folder(tmp_path, mine.sha256[:32], order, JobEnd(state=JobState.CANCELLED))
    with pytest.raises(HTTPException, match="429: the limit of this key is 20 kept jobs") as refused:
        desk.admit(mine)
    assert 86_000 < int(refused.value.headers["Retry-After"]) <= 86_400
