"""browser: a headless Chromium for the tests of the web page, driven by
chromedriver over its plain HTTP protocol (W3C WebDriver).
"""

import base64
import contextlib
import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import time

from coordc import LIMIT

FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
         "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync",
         "--disable-dev-shm-usage", "--disable-extensions",
         "--no-proxy-server",
         # No name is looked up, so nothing leaves this machine.
         "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, "
         "EXCLUDE localhost"]
# What WebDriver calls the reference to an element.
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"


def missing():
    """The programs that are not here."""
    return [p for p in ("chromium", "chromedriver") if not shutil.which(p)]


class Refused(Exception):
    """What chromedriver says against it."""


class NoPort(Exception):
    """chromedriver ended: it takes a port that is free over IPv4, and may find
    it taken over IPv6."""


class Browser:
    """One browser with one window; folders and processes end with it."""

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        self.log = open(os.path.join(self.folder.name, "log"), "w+b")
        for tries_left in (2, 1, 0):
            try:
                self._run()
                break
            except NoPort:
                self._end_driver()
                if tries_left == 0:
                    self._end()
                    raise
            except BaseException:
                self._end()
                raise
        return self

    def _run(self):
        # A group: what it starts can be ended together.
        self.driver = subprocess.Popen(
            ["chromedriver", "--port=0"], stdin=subprocess.DEVNULL,
            stdout=self.log, stderr=subprocess.STDOUT, process_group=0,
            env={**os.environ, "TMPDIR": self.folder.name,
                 "HOME": self.folder.name})
        self.port = self._port()
        self._start()

    def __exit__(self, *_):
        try:
            self.call("DELETE", "")
        finally:
            self._end()

    def _alive(self):
        """The processes of the group that have not ended."""
        found = []
        for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                state, _, group = stat.read_text().rpartition(
                    ")")[2].split()[:3]
                if int(group) == self.driver.pid and state not in "ZX":
                    found.append(stat.parent.name)
        return found

    def _end_driver(self):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.driver.pid, signal.SIGKILL)
        self.driver.wait(LIMIT)
        deadline = time.monotonic() + LIMIT
        while self._alive() and time.monotonic() < deadline:
            time.sleep(0.02)

    def _end(self):
        self._end_driver()
        self.log.close()
        self.folder.cleanup()

    def _port(self):
        deadline = time.monotonic() + LIMIT
        while time.monotonic() < deadline:
            ended = self.driver.poll() is not None
            said = pathlib.Path(self.log.name).read_text(errors="replace")
            if found := re.findall(r"started successfully on port (\d+)",
                                   said):
                return int(found[-1])
            if ended:
                raise NoPort("chromedriver ended: " + said)
            time.sleep(0.05)
        raise AssertionError("chromedriver does not start: " + said)

    def _start(self):
        self.root = ""
        profile = os.path.join(self.folder.name, "profile")
        answer = self.call("POST", "/session", {"capabilities": {
            "alwaysMatch": {
                "goog:chromeOptions": {
                    "binary": shutil.which("chromium"),
                    "args": [*FLAGS, f"--user-data-dir={profile}"]},
                "goog:loggingPrefs": {"browser": "ALL"}}}})
        self.root = "/session/" + answer["sessionId"]

    def call(self, method, path, body=None):
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=LIMIT)
        try:
            c.request(method, self.root + path, None if method != "POST" else
                      json.dumps(body or {}),
                      {"Content-Type": "application/json"})
            response = c.getresponse()
            value = json.loads(response.read())["value"]
        finally:
            c.close()
        if response.status != 200:
            raise Refused(value["error"] + ": " + value["message"])
        return value

    # ---- where it is, and what is there ----

    def open(self, address):
        self.call("POST", "/url", {"url": address})

    @property
    def address(self):
        return self.call("GET", "/url")

    @property
    def source(self):
        return self.call("GET", "/source")

    def script(self, text, *arguments):
        """The value of a function's body, run in the page."""
        return self.call("POST", "/execute/sync",
                         {"script": text, "args": arguments})

    def cookies(self):
        return self.call("GET", "/cookie")

    def all(self, selector):
        return [e[ELEMENT] for e in self.call("POST", "/elements", {
            "using": "css selector", "value": selector})]

    def one(self, selector):
        found = self.all(selector)
        if len(found) != 1:
            raise Refused(f"{len(found)} of {selector} at {self.address}")
        return found[0]

    def text(self, selector="body"):
        """What a reader sees of the one element."""
        return self.call("GET", f"/element/{self.one(selector)}/text")

    def texts(self, selector):
        """What is in all of them, shown or not."""
        return self.script(
            "return [...document.querySelectorAll(arguments[0])]"
            ".map(e => e.textContent.trim())", selector)

    def value(self, selector, name):
        """A property of the one element."""
        return self.call(
            "GET", f"/element/{self.one(selector)}/property/{name}")

    # ---- what a visitor does ----

    def click(self, selector):
        self.call("POST", f"/element/{self.one(selector)}/click")

    def follow(self, selector):
        """Clicks on what leads to another page, and waits for that."""
        before = self.all("html")
        self.click(selector)
        self.wait("another page", lambda: self.all("html") != before and
                  self.script("return document.readyState") == "complete")

    def type(self, selector, text):
        e = self.one(selector)
        self.call("POST", f"/element/{e}/clear")
        self.call("POST", f"/element/{e}/value", {"text": text})

    def choose(self, selector, value):
        self.click(f"{selector} option[value='{value}']")

    def wait(self, what, condition):
        """Until the condition, which may look at a page that changes under
        it, is true; its value."""
        deadline = time.monotonic() + LIMIT
        while True:
            try:
                if value := condition():
                    return value
            except Refused:
                pass
            assert time.monotonic() < deadline, (what, self.address)
            time.sleep(0.05)

    # ---- how it is set ----

    def devtools(self, command, **parameters):
        return self.call("POST", "/goog/cdp/execute",
                         {"cmd": command, "params": parameters})

    def scripts(self, allowed):
        self.devtools("Emulation.setScriptExecutionDisabled",
                      value=not allowed)

    def scheme(self, name):
        self.devtools("Emulation.setEmulatedMedia", features=[
            {"name": "prefers-color-scheme", "value": name}])

    def size(self, width, height, mobile=False):
        self.devtools("Emulation.setDeviceMetricsOverride", width=width,
                      height=height, deviceScaleFactor=1, mobile=mobile)

    def complaints(self):
        """What it logged since it was asked last: errors, violations."""
        entries = self.call("POST", "/se/log", {"type": "browser"})
        return [e["message"] for e in entries]

    def picture(self, path, whole=True):
        """A PNG of the page, for people."""
        data = self.devtools("Page.captureScreenshot", format="png",
                             captureBeyondViewport=whole)["data"]
        pathlib.Path(path).write_bytes(base64.b64decode(data))
