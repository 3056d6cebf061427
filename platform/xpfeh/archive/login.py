"""A user's login at the Gaia archive: the session cookie is kept on this machine; the password is not stored.

Registered users have their own quota for uploads; anonymous users share one, which may be full.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from urllib.parse import urlsplit

import requests

from xpfeh.archive.archives import PUBLIC, GaiaArchive, Services
from xpfeh.archive.http import RefusedError, TimedSession, UnavailableError, check_response, with_retries
from xpfeh.errors import UserError
from xpfeh.files import data_folder, whole_file

_LOOPBACK = ("127.0.0.1", "localhost", "::1")  # where nobody can listen in, as in tests


def log_in(user: str, password: str, services: Services = PUBLIC) -> Path:
    """Log in, and keep the session's cookies in a file that only this user can read; return its path.

    Raises
    ------
    UserError
        If the archive cannot be reached, refuses the login, or the password would be sent without encryption.
    """
    archive = next((archive for archive in services.archives if archive.login is not None), None)
    if archive is None:
        raise UserError("login: none of the archives has a login")
    where = urlsplit(str(archive.login))
    if where.scheme != "https" and where.hostname not in _LOOPBACK:
        raise UserError(f"{archive.login}: no password is sent without encryption (https)")
    session = TimedSession(services.answer_s)

    def ask() -> None:
        # No redirect is followed: the password goes only to this address.
        form = {"username": user, "password": password}
        check_response(session.post(str(archive.login), data=form, allow_redirects=False))

    try:
        with_retries(ask, services)
    except (RefusedError, UnavailableError) as error:
        # Not the archive's own words: an error page may repeat what was sent.
        reason = "refuses this user name and password" if isinstance(error, RefusedError) else "cannot be reached"
        raise UserError(f"login: {archive.title} {reason}") from None
    cookies = [{"name": cookie.name, "value": cookie.value, "path": cookie.path} for cookie in session.cookies]
    if not cookies:
        raise UserError(f"login: {archive.title} gave no session; log in on its web page to see why")
    path = _path()
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as temporary:
        temporary.touch(mode=0o600)
        temporary.write_text(json.dumps({"login": archive.login, "user": user, "cookies": cookies}))
    os.chmod(path, 0o600)
    return path


def log_out() -> bool:
    """Delete the kept session; return whether there was one."""
    there = _path().exists()
    _path().unlink(missing_ok=True)
    return there


def session_at(archive: GaiaArchive, timeout_s: float) -> requests.Session:
    """Return a session for an archive: the user's own if logged in, otherwise an anonymous one."""
    session = TimedSession(timeout_s)
    try:
        kept = json.loads(_path().read_text())
        if archive.login is not None and kept["login"] == archive.login:
            where = urlsplit(archive.login)
            place = {"domain": _cookie_domain(where.hostname or ""), "secure": where.scheme == "https"}
            for cookie in kept["cookies"]:
                session.cookies.set(cookie["name"], cookie["value"], path=cookie["path"], **place)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):  # none, or damaged: anonymous
        pass
    return session


def _cookie_domain(host: str) -> str:
    return host if "." in host else f"{host}.local"  # http.cookiejar's name for a host without a dot


def _path() -> Path:
    return data_folder("login") / "gaia_archive.json"
