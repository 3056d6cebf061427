from pathlib import Path

import pyarrow.fs as pafs
import pytest
from xpfeh.errors import UserError
from xpfeh.files import absolute, data_folder, filesystem, list_files, write_whole


def test_a_failed_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fs, folder = filesystem(tmp_path / "out")
    with pytest.raises(TypeError):
        write_whole(fs, f"{folder}/part.parquet", object())
    assert not (tmp_path / "out").exists()


def test_files_are_listed_sorted_and_by_suffix(tmp_path: Path) -> None:
    for name in ("b.parquet", "a.parquet", "c.json", "a.parquet.1.tmp"):
        (tmp_path / name).touch()
    fs, folder = filesystem(tmp_path)
    assert [Path(p).name for p in list_files(fs, folder, ".parquet")] == ["a.parquet", "b.parquet"]
    assert list_files(fs, f"{folder}/nowhere", ".parquet") == []


def test_paths_and_uris_name_the_same_place(tmp_path: Path) -> None:
    for uri in (tmp_path, str(tmp_path), tmp_path.as_uri()):
        fs, path = filesystem(uri)
        assert isinstance(fs, pafs.LocalFileSystem)
        assert Path(path) == tmp_path


def test_a_uri_without_a_filesystem_is_refused() -> None:
    with pytest.raises(UserError, match="cannot be opened"):
        filesystem("gopher://host/path")


def test_a_path_means_the_same_in_any_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert absolute("catalog") == str(tmp_path / "catalog")
    assert absolute("s3://bucket/catalog") == "s3://bucket/catalog"


def test_an_unset_or_empty_data_folder_is_the_one_at_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XPFEH_DATA", "")
    assert data_folder("sfd") == Path.home() / ".xpfeh" / "sfd"
    monkeypatch.setenv("XPFEH_DATA", "~nobody-of-this-name/data")
    with pytest.raises(UserError, match="there is no user of that name"):
        data_folder("sfd")
