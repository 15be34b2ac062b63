"""An athlete's browser: follows links, stores cookies, fills in forms."""

import dataclasses
import html.parser
import http.client
import http.cookies
import urllib.parse

from check.processes import Failed


@dataclasses.dataclass
class Form:
    """A form of a page, ready to be submitted."""

    action: str
    fields: list[tuple[str, str]]
    # The submit buttons: the text of each, and what it adds to the fields.
    buttons: dict[str, list[tuple[str, str]]]


@dataclasses.dataclass
class Page:
    """The response, after redirects."""

    status: int
    url: str
    text: str
    forms: list[Form]


class FormReader(html.parser.HTMLParser):
    """Collects the forms of a page: hidden fields, checked boxes and buttons, not the choices of a person."""

    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self.button: list[tuple[str, str]] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        field = [(given["name"], given.get("value", ""))] if "name" in given else []
        if tag == "form":
            self.forms.append(Form(given.get("action", ""), [], {}))
        elif tag == "button" and self.forms:
            self.button = field
        elif tag == "input" and self.forms and (given.get("type") == "hidden" or "checked" in given):
            self.forms[-1].fields += field

    def handle_data(self, data: str) -> None:
        if self.button is not None and data.strip():
            self.forms[-1].buttons[data.strip()] = self.button

    def handle_endtag(self, tag: str) -> None:
        if tag == "button":
            self.button = None


class Browser:
    """One person's browser."""

    def __init__(self) -> None:
        self.cookies: dict[str, http.cookies.SimpleCookie] = {}

    def open(self, url: str) -> Page:
        """Opens a page and follows redirects."""
        return self.follow("GET", url, None)

    def submit(self, page: Page, button: str, **chosen: str) -> Page:
        """Submits the form that has a button with the text `button`, with the person's choices."""
        for form in page.forms:
            if button in form.buttons:
                fields = urllib.parse.urlencode([*form.fields, *chosen.items(), *form.buttons[button]])
                return self.follow("POST", urllib.parse.urljoin(page.url, form.action), fields)
        raise Failed(f"no button {button!r} at {without_query(page.url)}: {page.status} {page.text[-500:]}")

    def follow(self, method: str, url: str, body: str | None) -> Page:
        """Sends a request and follows its redirects."""
        for _ in range(10):
            status, location, text = self.send(method, url, body)
            if location is None:
                reader = FormReader()
                reader.feed(text)
                return Page(status, url, text, reader.forms)
            method, url, body = "GET", urllib.parse.urljoin(url, location), None
        raise Failed(f"redirected in a circle at {without_query(url)}")

    def send(self, method: str, url: str, body: str | None) -> tuple[int, str | None, str]:
        """Sends one request. Returns its status, redirect target and text."""
        parts = urllib.parse.urlsplit(url)
        # The emulator's API has a name under localhost, which not every resolver knows. So the Host header carries the
        # name, and the connection goes to the loopback address.
        host = parts.hostname or ""
        address = "127.0.0.1" if host == "localhost" or host.endswith(".localhost") else host
        connection = http.client.HTTPConnection(address, parts.port or 80, timeout=60)
        # Return a Secure cookie although this is not https: browsers treat localhost as secure, too.
        jar = self.cookies.setdefault(parts.netloc, http.cookies.SimpleCookie())
        headers = {"Host": parts.netloc}
        if jar:
            headers["Cookie"] = "; ".join(f"{name}={cookie.value}" for name, cookie in jar.items())
        if body is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        try:
            connection.request(
                method, urllib.parse.urlunsplit(("", "", parts.path or "/", parts.query, "")), body, headers
            )
            answer = connection.getresponse()
            for cookie in answer.headers.get_all("Set-Cookie") or []:
                jar.load(cookie)
            for name in [name for name, cookie in jar.items() if cookie["max-age"] == "0"]:
                del jar[name]
            location = answer.headers["Location"] if 300 <= answer.status < 400 else None
            return answer.status, location, answer.read().decode()
        finally:
            connection.close()


def without_query(url: str) -> str:
    """An address without its query, which may hold signatures and codes, so that it may be printed."""
    return url.partition("?")[0]
