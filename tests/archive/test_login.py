"""A login: its session is used for the archive that gave it, and the password is nowhere."""

import json
import logging
import stat
from pathlib import Path

import pytest
from typer.testing import CliRunner
from xpfeh.archive import archives, login, star_lists
from xpfeh.archive.archives import GaiaArchive, Services
from xpfeh.cli.main import app
from xpfeh.errors import UserError

from tests.archive.archive_server import ArchiveServer

PASSWORD = "correct-horse-battery-staple"


@pytest.fixture(autouse=True)
def _user(archive: ArchiveServer, services: Services) -> None:
    archive.users = {"vrubin": PASSWORD}


def everything_under(folder: Path) -> str:
    return "".join(path.read_bytes().decode("latin-1") for path in folder.rglob("*") if path.is_file())


def test_uploads_of_a_user_who_is_logged_in_count_for_their_own_quota(
    archive: ArchiveServer, services: Services, tmp_path: Path
) -> None:
    archive.uploads, archive.sky = "quota", [(11, 10.0, 0.0)]
    table = tmp_path / "positions.csv"
    table.write_text("ra,dec\n10,0\n")
    path = login.log_in("vrubin", PASSWORD, services)
    assert star_lists.stars_around(table, services=services).matched["source_id"].to_list() == [11]
    assert archive.log == [("/tap/upload", 1)]
    assert archive.cookies == "JSESSIONID=session-of-vrubin"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert login.log_out()
    assert not login.log_out()
    star_lists.ids_by_cone(10, 20, 1, services=services)
    assert archive.cookies == ""


def test_the_session_goes_to_no_other_service(archive: ArchiveServer, services: Services) -> None:
    login.log_in("vrubin", PASSWORD, services)
    mirror = GaiaArchive("ari", "ARI Heidelberg", services.archives[0].tap)  # the same host, but no login
    elsewhere = GaiaArchive("esa", "ESA", services.archives[0].tap, login="https://elsewhere.example/login")
    assert login.session_at(services.archives[0], 1.0).cookies
    assert not login.session_at(mirror, 1.0).cookies
    assert not login.session_at(elsewhere, 1.0).cookies


def test_the_password_is_in_no_file_log_or_message(
    archive: ArchiveServer,
    services: Services,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(login, "PUBLIC", services)
    monkeypatch.setattr(login.log_in, "__defaults__", (services,))
    caplog.set_level(logging.DEBUG)
    result = CliRunner().invoke(app, ["archive", "login"], input=f"vrubin\n{PASSWORD}\n")
    assert (result.exit_code, "logged in as vrubin" in result.output) == (0, True)
    assert json.loads(login._path().read_text())["user"] == "vrubin"
    wrong = CliRunner().invoke(app, ["archive", "login", "--user", "vrubin"], input=f"{PASSWORD}x\n")
    assert isinstance(wrong.exception, UserError)
    message = str(wrong.exception)
    assert message == "login: ESA's Gaia archive refuses this user name and password"
    for text in (result.output, wrong.output, message, caplog.text, everything_under(tmp_path)):
        assert PASSWORD not in text


def test_a_login_needs_a_service_an_answer_and_encryption(archive: ArchiveServer, services: Services) -> None:
    archive.always = "500"
    with pytest.raises(UserError, match="login: ESA's Gaia archive cannot be reached"):
        login.log_in("vrubin", PASSWORD, services)
    with pytest.raises(UserError, match="none of the archives has a login"):
        login.log_in("vrubin", PASSWORD, Services((archives.ARI,)))
    plain = GaiaArchive("esa", "ESA", "http://gea.example/tap", login="http://gea.example/login")
    with pytest.raises(UserError, match="no password is sent without encryption"):
        login.log_in("vrubin", PASSWORD, Services((plain,)))


def test_a_damaged_session_is_ignored(archive: ArchiveServer, services: Services) -> None:
    path = login.log_in("vrubin", PASSWORD, services)
    for damage in ("{", "[]", '{"login": 1}', f'{{"login": "{services.archives[0].login}", "cookies": 3}}'):
        path.write_text(damage)
        assert not login.session_at(services.archives[0], 1.0).cookies


def test_a_login_follows_no_redirect(archive: ArchiveServer, services: Services) -> None:
    other = ArchiveServer(f"{archive.head}\n1,{archive.rest}")
    other.users = archive.users
    archive.login_redirect = f"{other.url}/login"
    try:
        with pytest.raises(UserError, match="gave no session"):
            login.log_in("vrubin", PASSWORD, services)
    finally:
        other.close()
    assert other.requests == 0


def test_the_session_of_an_encrypted_archive_is_only_sent_encrypted(tmp_path: Path, services: Services) -> None:
    path = login._path()
    path.parent.mkdir(parents=True)
    cookies = [{"name": "JSESSIONID", "value": "1", "path": "/tap-server"}]
    path.write_text(json.dumps({"login": archives.ESA.login, "user": "vrubin", "cookies": cookies}))
    (cookie,) = login.session_at(archives.ESA, 1.0).cookies
    assert (cookie.secure, cookie.path, cookie.domain) == (True, "/tap-server", "gea.esac.esa.int")
