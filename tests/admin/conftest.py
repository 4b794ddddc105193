"""A site that a browser can visit, and a headless browser."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.staticfiles.handlers import StaticFilesHandler
from django.test import Client
from django.test.testcases import LiveServerThread

try:
    from selenium import webdriver

    from .visitor import Visitor
except ImportError:  # told by the fixture
    webdriver = Visitor = None

#: Columns and rows of the window: a small laptop's.
WINDOW = (1280, 900)
_BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def _missing(what: str, cure: str = "apt-get install chromium chromium-driver") -> None:
    text = f"{what} is missing: {cure}"
    if os.environ.get("CI") == "true":
        pytest.fail(text, pytrace=False)
    pytest.skip(text)


@pytest.fixture
def client(database: str, q_cluster: Callable[..., Any]) -> Client:
    """A browser without a window, of somebody who may do everything; the ORM broker is used."""
    q_cluster(orm=database)
    browser = Client()
    browser.force_login(get_user_model().objects.create_superuser("root"))
    return browser


# A real browser.


@pytest.fixture(scope="package")
def chromium() -> Iterator[Any]:
    """The browser of these tests, which would go on using the processor behind all others."""
    if webdriver is None:
        _missing("selenium", "pip install selenium")
    driver = shutil.which("chromedriver")
    binary = next(filter(None, map(shutil.which, _BROWSERS)), None)
    if binary is None or driver is None:
        _missing("chromedriver" if binary else "Chromium")
    options = webdriver.ChromeOptions()
    options.binary_location = binary or ""
    for argument in ("headless=new", "no-sandbox", "disable-dev-shm-usage", "lang=en"):
        options.add_argument(f"--{argument}")
    options.add_argument(f"--window-size={WINDOW[0]},{WINDOW[1]}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = webdriver.Chrome(options, webdriver.ChromeService(driver))
    yield browser
    browser.quit()


@pytest.fixture
def address(database: str, q_cluster: Callable[..., Any]) -> Iterator[str]:
    """Where the test project's site is, which uses the ORM broker."""
    q_cluster(orm=database)
    thread = LiveServerThread("127.0.0.1", StaticFilesHandler)
    thread.daemon = True
    thread.start()
    thread.is_ready.wait()
    if thread.error:
        raise thread.error
    yield f"http://{thread.host}:{thread.port}"
    thread.terminate()
    thread.join()


@pytest.fixture
def visitor(chromium: Any, address: str, tmp_path: Path) -> Iterator[Any]:
    """Somebody who may do everything and has not logged in yet."""
    get_user_model().objects.create_superuser("root", password="a password")
    # SCREENSHOTS=folder keeps them, to be looked at.
    folder = Path(os.environ.get("SCREENSHOTS") or tmp_path)
    folder.mkdir(parents=True, exist_ok=True)
    chromium.delete_all_cookies()
    visitor = Visitor(chromium, address, folder)
    yield visitor
    chromium.get("about:blank")
    complaints = [entry["message"] for entry in chromium.get_log("browser")]
    assert not [text for text in complaints if "favicon" not in text]
