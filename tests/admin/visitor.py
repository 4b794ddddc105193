"""A person in front of a browser."""

from pathlib import Path

from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webdriver import WebDriver
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import Select, WebDriverWait

#: Seconds until something that should be on the page is missed.
PATIENCE = 10


class Visitor:
    """Goes to pages, reads, clicks and types; keeps pictures of what was seen."""

    def __init__(self, browser: WebDriver, address: str, pictures: Path) -> None:
        self.browser = browser
        self.address = address
        self._pictures = pictures

    def go(self, path: str) -> None:
        """Open a page of the site."""
        self.browser.get(f"{self.address}{path}")

    def log_in(self, name: str = "root", password: str = "a password") -> None:
        """Log in to the admin."""
        self.go("/admin/login/?next=/admin/")
        self.type("#id_username", name)
        self.type("#id_password", password)
        self.click("input[type=submit]")
        self.find("#user-tools")

    def find(self, selector: str) -> WebElement:
        """Wait for the first element that matches a CSS selector."""
        wait = WebDriverWait(self.browser, PATIENCE)
        element: WebElement = wait.until(
            lambda browser: browser.find_element(By.CSS_SELECTOR, selector), selector
        )
        return element

    def count(self, selector: str) -> int:
        """Count the elements that match now."""
        return len(self.browser.find_elements(By.CSS_SELECTOR, selector))

    def click(self, selector: str) -> None:
        """Click on the first element that matches."""
        self.find(selector).click()

    def follow(self, words: str) -> None:
        """Click on the link with these words."""
        self.browser.find_element(By.LINK_TEXT, words).click()

    def type(self, selector: str, words: str) -> None:
        """Write into a field instead of what is in it."""
        field = self.find(selector)
        field.clear()
        field.send_keys(words)

    def choose(self, selector: str, value: str) -> None:
        """Choose one of the values of a field."""
        Select(self.find(selector)).select_by_value(value)

    def act(self, action: str) -> None:
        """Take an action of a list for what is ticked."""
        self.choose("select[name=action]", action)
        self.click("button[name=index]")

    def read(self, selector: str = "body") -> str:
        """Give the text that can be seen there."""
        return self.find(selector).text

    def wait_for(self, words: str) -> None:
        """Wait until the page says something."""
        stale = [StaleElementReferenceException]  # of the page before
        wait = WebDriverWait(self.browser, PATIENCE, ignored_exceptions=stale)
        wait.until(lambda _: words in self.read(), words)

    def is_wider_than_window(self) -> bool:
        """Tell whether the page has to be moved sideways."""
        wide: bool = self.browser.execute_script(
            "return document.documentElement.scrollWidth > document.documentElement.clientWidth"
        )
        return wide

    def is_cut_off(self, selector: str) -> bool:
        """Tell whether what stands there has to be moved sideways by itself."""
        element = self.find(selector)
        wide: bool = self.browser.execute_script(
            "return arguments[0].scrollWidth > arguments[0].clientWidth", element
        )
        return wide

    def look(self, name: str) -> None:
        """Keep a picture of the whole page."""
        width = self.browser.get_window_size()["width"]
        height = self.browser.execute_script("return document.documentElement.scrollHeight")
        before = self.browser.get_window_size()
        self.browser.set_window_size(width, max(int(height) + 140, 600))
        self.browser.save_screenshot(str(self._pictures / f"{name}.png"))
        self.browser.set_window_size(before["width"], before["height"])
