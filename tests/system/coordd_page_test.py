#!/usr/bin/python3
# tests/run: limit=240 one-thread
"""coordd_page_test: the web page on coordd's admin listener, as a browser
shows it: with and without scripts, on a desk and on a phone, by day and by
night, and to those who may not see it. Prints TAP.
"""

import contextlib
import functools
import html.parser
import http.server
import json
import os
import re
import socket
import sys
import threading
import time
import urllib.parse

import browser
from coordapi import Api, node_row
from coordc import LIMIT, Client, Handshake
from ctlfake import main

NODES = 1234
SHOWN = 100  # rows of one page
EVIL = "<script>hacked=1</script>\u202e'\"&amp;<img src=x onerror=hacked=1>"
POLICY = """{
\t// <script>hacked=1</script> &amp; "quoted"
\t"groups": {"group:labs": ["lab-a@", "lab-b@"]},
\t"tagOwners": {"tag:robot": ["group:labs"]},
\t"acls": [
\t\t{"action": "accept", "src": ["group:labs"], "dst": ["tag:robot:22"]},
\t\t{"action": "accept", "src": ["tag:robot"], "dst": ["lab-a@:*"]},
\t],
}
"""
PAGES = ("/", "/nodes", "/nodes/5", "/nodes/77", "/users", "/keys",
         "/keys?show=all&user=lab-a", "/policy", "/audit",
         "/nodes?q=rover&state=offline&user=lab-a&relay=900&sort=-expiry",
         "/policy?src=node-1&dst=node-3&port=22", "/nodes?q=nothing-is-so",
         "/nodes/no-such", "/?done=1")
POSTS = ("/logout", "/users", "/users/1/delete", "/users/1/rename", "/keys",
         "/keys/1/expire", "/keys/1/delete", "/nodes/5/delete",
         "/nodes/5/approve", "/nodes/5/expire", "/nodes/5/rename",
         "/nodes/5/move", "/nodes/5/tags", "/nodes/5/routes",
         "/logins/ab/approve", "/logins/ab/deny")


def seed(d, now):
    """Users lab-a (1), lab-b (2) and 1,234 nodes of theirs."""
    d.seed(users=("lab-a", "lab-b"), nodes=0)
    with d.sql() as db:
        for i in range(1, NODES + 1):
            row = node_row(i)
            row.update(label=f"node-{i}", hostname=f"node-{i}",
                       user=1 + i % 2, last_seen=now - i)
            if i % 10 == 0:
                row.update(label=f"rover-{i}", hostname=f"rover-{i}",
                           tags="tag:robot")
            if i in (3, 4):
                row["expiry"] = now + i * 86400
            if i == 6:
                row["expiry"] = now - 86400
            if i == 7:
                row["expiry"] = now + 60 * 86400
            if i == 8:
                row["authorized"] = 0
            if i == 9:
                row["home_derp"] = 31
            if i == 77:
                row.update(label="evil", hostname=EVIL + "x" * 150,
                           hostinfo=json.dumps(
                               {"OS": EVIL, "IPNVersion": "</dd>" + EVIL}),
                           endpoints=json.dumps([EVIL]))
            db.execute(f"INSERT INTO nodes ({', '.join(row)}) VALUES "
                       f"({', '.join('?' * len(row))})", list(row.values()))


@contextlib.contextmanager
def online(d, authkey, hostname):
    """A client that joined and listens to the stream of maps."""
    client = Client(d)
    client.join(authkey, hostname)

    def listen():
        with contextlib.suppress(OSError, ValueError):
            client.post("/machine/map", {
                "Version": Handshake.VERSION, "NodeKey": client.node_key,
                "DiscoKey": "discokey:" + client.node.hex(), "Stream": True,
                "Hostinfo": {"OS": "linux", "Hostname": hostname}})

    thread = threading.Thread(target=listen, daemon=True)
    thread.start()
    try:
        yield client
    finally:
        client.tcp.shutdown(socket.SHUT_RDWR)
        thread.join(LIMIT)
        client.close()


class Nesting(html.parser.HTMLParser):
    """Elements end in the order in which they began, and ids are unique."""

    VOID = ("meta", "link", "input", "option")

    def __init__(self, text):
        super().__init__()
        self.open, self.ids, self.names = [], [], []
        self.feed(text)
        assert not self.open, self.open
        assert len(self.ids) == len(set(self.ids)), sorted(self.ids)

    def handle_starttag(self, tag, attributes):
        self.names.append(tag)
        self.ids += [v for k, v in attributes if k == "id"]
        assert len(attributes) == len(dict(attributes)), (tag, attributes)
        for name, _ in attributes:
            assert not name.startswith("on") and name != "style", name
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open and self.open.pop() == tag, (tag, self.getpos())


# All that is written and cannot be read well: too little contrast.
CONTRAST = """
function channels(text) {
	return text.match(/[\\d.]+/g).map(Number);
}
function luminance(color) {
	const [r, g, b] = color.slice(0, 3).map(v => v / 255).map(
	    v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
	return .2126 * r + .7152 * g + .0722 * b;
}
function backdrop(e) {
	for (; e; e = e.parentElement) {
		const color = channels(getComputedStyle(e).backgroundColor);
		if (color.length === 3 || color[3] === 1)
			return color;
	}
	return [255, 255, 255];
}
const bad = [];
for (const e of document.querySelectorAll("body *")) {
	const written = [...e.childNodes].some(
	    n => n.nodeType === 3 && n.data.trim());
	if (!written || !e.getClientRects().length)
		continue;
	const a = luminance(channels(getComputedStyle(e).color));
	const b = luminance(backdrop(e));
	const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
	if (ratio < 4.5)
		bad.push([e.tagName, e.className, e.textContent, ratio]);
}
return [backdrop(document.body), bad];
"""

# Fields and buttons that a reader of the screen could not name.
NAMELESS = """
return [...document.querySelectorAll("input, select, button, a, summary")]
    .filter(e => e.type !== "hidden" && !e.hidden)
    .filter(e => e.matches("input, select") ? e.labels.length === 0 :
	e.textContent.trim() === "").map(e => e.outerHTML);
"""


class Page:
    """The tests. They share one coordinator and one browser."""

    def __init__(self, coordd, window):
        self.d, self.b = coordd, window
        self.base = f"http://127.0.0.1:{coordd.admin}"

    def open(self, path):
        self.b.open(self.base + path)

    def path(self):
        return self.b.address.removeprefix(self.base)

    def begin(self, login=True, scripts=True):
        """As a new visitor, or as one who has just logged in."""
        b = self.b
        b.scripts(True)
        b.scheme("light")
        b.size(1200, 900)
        b.call("DELETE", "/cookie")
        self.open("/healthz")
        b.complaints()
        b.scripts(scripts)
        self.open("/")
        if login:
            b.type("#token", self.d.token())
            b.follow(".login button")
            b.wait("login", lambda: b.text("h1") == "Overview")
            b.complaints()

    def get(self, path, **headers):
        return self.d.raw("GET", path, None, headers, True)

    def post(self, path, form, origin=True, token=True):
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        if origin is not None:
            headers["Origin"] = self.base if origin is True else origin
        if token:
            headers["Cookie"] = f"coordd_token={self.d.token()}"
        return self.d.raw("POST", path, urllib.parse.urlencode(form), headers,
                          True)

    def audit(self):
        return self.d.api("GET", "/audit")["audit"]

    def node(self, name):
        return self.d.api("GET", f"/nodes/{name}")

    # ---- who may see it ----

    def nothing_without_token(self):
        secrets = [b"node-5", b"lab-a", b"group:labs", b"node join", b"cnkey-",
                   b"mkey:", b"campus.test", b"database", b"Overview"]
        before = self.audit()
        for cookie in ("", "coordd_token=" + "0" * 64, "coordd_token="):
            headers = {"Cookie": cookie} if cookie else {}
            for path in (*PAGES, "/nodes/node-5", "/page.js", "/nope",
                         "/nodes/", "/nodes/5/", "//", "/nodes/5/delete"):
                answer = self.get(path, **headers)
                assert answer.status in (401, 429), (path, answer.status)
                # What he asked for is in the form.
                body = re.sub(rb'name="next" value=".*?"', b"", answer.body)
                assert not [s for s in secrets if s in body], path
                assert ("Set-Cookie" in answer.headers) == (
                    bool(cookie) and b"<form" in answer.body), path
        for path in POSTS:
            answer = self.post(path, {"name": "x"}, token=False)
            assert answer.status == (303 if path == "/logout" else 401), path
            assert not [s for s in secrets if s in answer.body], path
        assert self.audit() == before
        for path in ("/page.css", "/icon.svg"):
            assert self.get(path).status == 200, path
        # A script gets it as it gets the API.
        assert b"node-5" in self.d.far("GET", "/nodes?q=node-5").body
        assert self.d.far("HEAD", "/nodes").body == b""
        assert b'"no such path"' in self.d.far("GET", "/nope").body

    def login_and_logout(self):
        b, token = self.b, self.d.token()
        self.begin(login=False)
        assert b.text("h1") == "Log in"
        for wrong in ("wrong", "0" * 64, token[:-1], token + "0"):
            b.type("#token", wrong)
            b.follow(".login button")
            b.wait("refusal", lambda: "not the token" in b.text(".notice")
                   or "Too many" in b.text(".notice"))
            assert b.cookies() == []
        # It leads to where he wanted to go.
        self.open("/nodes?q=rover-10&state=offline")
        b.type("#token", token)
        b.follow(".login button")
        b.wait("the list", lambda: b.text("h1") == "Nodes")
        assert self.path() == "/nodes?q=rover-10&state=offline"
        cookie, = b.cookies()
        assert (cookie["name"], cookie["value"]) == ("coordd_token", token)
        assert cookie["httpOnly"] and cookie["sameSite"] == "Strict", cookie
        assert cookie["path"] == "/" and "expiry" not in cookie, cookie
        assert b.script("return document.cookie") == ""
        b.follow("header form button")
        b.wait("logout", lambda: b.text("h1") == "Log in")
        assert b.cookies() == []
        # What was shown is not kept either.
        b.call("POST", "/back")
        b.wait("login", lambda: b.text("h1") == "Log in")
        assert "rover" not in b.text()
        assert not [l for l in self.d.lines if token in l]
        assert self.d.line("page: login from 127.0.0.1")
        assert self.d.line("page: wrong token from 127.0.0.1")

    def login_leads_nowhere_else(self):
        for bad in ("//evil.example", "/\\evil.example", "https://evil.example",
                    "evil", "", "/a b", "/\r\nX: y", "/ä"):
            answer = self.post("/login", {
                "token": f" {self.d.token()}\n", "next": bad}, token=False)
            assert answer.status == 303, bad
            assert answer.headers["Location"] == "/", bad
            assert answer.headers["X"] is None

    def many_wrong_tokens(self):
        answers = [self.post("/login", {"token": "0" * 64}, token=False)
                   for _ in range(30)]
        codes = [a.status for a in answers]
        assert set(codes) <= {401, 429}, codes
        assert answers[codes.index(429)].headers["Retry-After"].isdigit()
        answer = self.post("/login", {"token": self.d.token()}, token=False)
        assert answer.status == 303 and answer.headers["Location"] == "/"

    def other_sites(self):
        """A page of another port, to which the cookie goes along."""
        b, target = self.b, self.base

        class Site(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                body = (f"<form method=post action={target}/nodes/5/delete>"
                        f"<input name=a value=b><button>x</button></form>"
                        f"<iframe src={target}/nodes></iframe>").encode()
                self.send_response(200)
                self.send_header("Content-Type", "text/html")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.begin()
        for origin in (None, "null", "http://evil.example",
                       self.base + "0", "https://127.0.0.1:1"):
            answer = self.post("/nodes/5/delete", {}, origin)
            assert answer.status == 403, origin
        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Site) as site:
            thread = threading.Thread(target=site.serve_forever)
            thread.start()
            try:
                b.open(f"http://127.0.0.1:{site.server_port}/")
                b.wait("no frame", lambda: [
                    c for c in b.complaints() if "frame-ancestors" in c or
                    "X-Frame-Options" in c])
                b.follow("button")
                b.wait("refusal", lambda: "another site" in b.source)
            finally:
                site.shutdown()
                thread.join(LIMIT)
        assert self.node("node-5")["id"] == 5
        assert all(a["what"] != "node delete" for a in self.audit())

    # ---- what is seen ----

    def reading_without_scripts(self):
        b = self.b
        self.begin(scripts=False)
        # Nothing of ours ran.
        assert b.script("return typeof refresh") == "undefined"
        cards = dict(reversed(c.split(" ", 1)) for c in b.texts(".cards li"))
        nodes = self.d.api("GET", "/nodes")["nodes"]
        assert cards == {
            "online": "0", "offline": f"{len(nodes):,}", "logins wait": "1",
            "wait for approval": "1", "keys expire soon": "2",
            "keys expired": "1"}, cards
        assert b.texts("#soon tbody th") == ["node-3", "node-4", "auth key 1"]
        assert b.texts("#soon tbody td:last-child") == [
            "in 2 d", "in 3 d", "in 4 d"]
        assert b.texts("#relays tbody > tr > *") == [
            'The "campus"', "900", f"{NODES - 2:,}", "0"], \
            b.texts("#relays tbody > tr > *")
        assert "2 have none" in b.text("#relays")
        assert EVIL in b.text("#logins .waiting")
        assert self.login in b.text("#logins .waiting")
        assert b.texts("#devices li a") == ["node-8"]
        recent = b.texts("#recent tbody tr")
        assert len(recent) == 6 and "policy set" in recent[0], recent
        assert "uid " in recent[0] and "database" in recent[0]
        assert "http://127.0.0.1:" in b.text("#server")
        self.open("/nodes/3")
        facts = dict(zip(b.texts(".facts dt"), b.texts(".facts dd")))
        node = self.node("node-3")
        assert facts["Name in DNS"] == "node-3.campus.test"
        assert facts["Addresses"].split() == node["addresses"]
        assert facts["Machine key"] == node["machine_key"]
        assert facts["Node key"] == node["node_key"]
        assert facts["Home relay"] == 'The "campus"'
        assert facts["Endpoints"] == "10.0.0.1:41641"
        assert facts["Client"] == "1.102.5 on linux"
        assert facts["Owner"] == "lab-b"
        assert facts["Key expires"] == "in 2 d"
        assert "tailscale status" in facts["Direct or relayed"]
        self.open("/nodes/9")
        assert "region 31, not in the map" in b.text(".facts")
        self.open("/users")
        assert b.texts("tbody th") == ["lab-a", "lab-b"]
        assert f"{NODES // 2:,} nodes" in b.text("tbody tr:first-child")
        self.open("/keys")
        assert "reusable" in b.text("tbody tr")
        self.open("/audit")
        assert len(b.texts("tbody tr")) == 6
        self.open("/audit?q=USER%20create")
        assert b.texts("td.detail") == ["lab-b", "lab-a"]

    def policy_is_shown(self):
        b = self.b
        self.begin(scripts=False)
        self.open("/policy")
        assert "From the database" in b.text("#policy p")
        shown = b.script(
            "return document.querySelector('.policy').textContent")
        assert shown == POLICY, shown
        for src, dst, port, says, line in [
                ("node-1", "rover-10", "22", "Yes, by line 6", "6"),
                ("rover-10", "node-2", "80", "Yes, by line 7", "7"),
                ("node-1", "rover-10", "23", "No: ", None),
                ("node-1", "100.64.0.10", "22", "Yes, by line 6", "6"),
                ("node-1", "nobody", "22", "no node and no address", None),
                (EVIL, "node-1", "22", EVIL, None)]:
            self.open("/policy?" + urllib.parse.urlencode(
                {"src": src, "dst": dst, "port": port}))
            assert says in b.text(".notice"), (src, dst, b.text(".notice"))
            assert b.value("#src", "value") == src
            assert (line is None) == (not b.all(".notice a")), src
            if line:
                b.click(".notice a")
                assert self.path().endswith(f"#line-{line}")

    def hostile_text(self):
        """Whatever a client or an address brings is text."""
        b = self.b
        self.begin()
        evil = urllib.parse.quote(f'"><script>hacked=1</script>{EVIL}')
        for path in (*PAGES, f"/nodes?q={evil}", f"/nodes?user={evil}",
                     f"/nodes?relay={evil}&state={evil}&sort={evil}",
                     f"/nodes?page={evil}", f"/keys?user={evil}&show={evil}",
                     f"/audit?q={evil}&page=-1", f"/policy?src={evil}",
                     "/nodes?", "/nodes?&&", "/nodes?q", "/nodes?q=%00%ff"):
            text = self.d.far("GET", path).body.decode(errors="replace")
            assert set(Nesting(text).names).isdisjoint({"img", "iframe"}), path
            assert text.count("<script") == 1, path
        self.open("/nodes?q=evil")
        assert b.text("tbody .raw").startswith(EVIL)
        self.open("/nodes/evil")
        assert EVIL + "x" * 150 in b.text(".facts")
        assert f"</dd>{EVIL} on {EVIL}" in b.text(".facts")
        self.open(f"/nodes?user={evil}&q={evil}")
        assert "<script>" in b.text("#list")
        assert b.script("return typeof hacked") == "undefined"
        assert b.complaints() == []

    def policy_of_content(self):
        """The browser lets nothing in but what is ours, and has no complaint
        about that."""
        b = self.b
        answer = self.d.far("GET", "/")
        rules = dict(r.strip().split(" ", 1) for r in
                     answer.headers["Content-Security-Policy"].split(";"))
        assert rules == {
            "default-src": "'none'", "script-src": "'self'",
            "style-src": "'self'", "connect-src": "'self'",
            "img-src": "'self'", "form-action": "'self'",
            "frame-ancestors": "'none'", "base-uri": "'none'",
            "require-trusted-types-for": "'script'",
            "trusted-types": "'none'"}, rules
        assert answer.headers.get_all("Content-Security-Policy")[1:] == []
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        self.begin()
        for path in PAGES:
            self.open(path)
            said = [c for c in b.complaints()
                    if not ("404" in c and path == "/nodes/no-such")]
            assert said == [], (path, said)
        # So a violation would have been seen.
        b.script("const s = document.createElement('style');"
                 "s.textContent = 'body { color: red }';"
                 "document.body.append(s)")
        assert b.wait("violation", lambda: [
            c for c in b.complaints() if "style-src 'self'" in c])

    @functools.cached_property
    def looks(self):
        """What each page looks like: on phones, in light and dark."""
        b, found = self.b, {}
        self.begin()
        for path in PAGES:
            self.open(path)
            look = found[path] = {"nameless": b.script(NAMELESS)}
            for scheme in ("light", "dark"):
                b.scheme(scheme)
                look[scheme] = b.script(CONTRAST)
            for width in (320, 412):
                b.size(width, 740, mobile=True)
                look[width] = b.script(
                    "return [document.documentElement.scrollWidth,"
                    "window.innerWidth]")
            look["outline"] = b.script(
                "const count = (s) => document.querySelectorAll(s).length;"
                "return [document.documentElement.lang, count('h1'),"
                "count('main'), count('th:not([scope])')]")
            look["title"] = b.call("GET", "/title")
            b.size(1200, 900)
        return found

    def on_a_phone(self):
        """Nothing is wider than the screen."""
        for path, look in self.looks.items():
            for width in (320, 412):
                assert look[width] == [width, width], (path, look[width])

    def by_day_and_by_night(self):
        """All can be read, and the night is dark."""
        for path, look in self.looks.items():
            for scheme in ("light", "dark"):
                back, faint = look[scheme]
                assert faint == [], (path, scheme, faint)
                assert sum(back) < 150 if scheme == "dark" else \
                    sum(back) > 600, (path, scheme, back)

    def for_all_readers(self):
        for path, look in self.looks.items():
            assert look["nameless"] == [], (path, look)
            assert look["outline"] == ["en", 1, 1, 0], (path, look)
            assert look["title"].endswith(" · campusnet"), (path, look)

    # ---- many nodes ----

    def listed(self, path):
        """The names of the nodes that a page shows, and the page."""
        text = self.d.far("GET", path).body.decode()
        rows = text.partition("<tbody>")[2]
        return re.findall(r'<th scope="row"><a href="[^"]*">([^<]*)', rows), \
            text

    def pages_of_the_list(self):
        b = self.b
        seen, total = [], len(self.d.api("GET", "/nodes")["nodes"])
        for page in range(1, (total - 1) // SHOWN + 2):
            names, text = self.listed(f"/nodes?page={page}")
            seen += names
            assert len(names) == min(SHOWN, total - SHOWN * (page - 1))
            assert f"{len(seen) - len(names) + 1:,} to {len(seen):,} of " \
                f"{total:,} nodes" in text, page
        assert len(set(seen)) == total, len(seen)
        number = re.compile(r"(\d+)")
        assert seen == sorted(seen, key=lambda name: [
            int(p) if p.isdigit() else p for p in number.split(name)])
        for path in ("/nodes?page=99999", "/nodes?page=13&sort=none"):
            assert self.listed(path)[0] == seen[-(total % SHOWN):], path
        for path in ("/nodes", "/nodes?page=0", "/nodes?page=-1",
                     "/nodes?page=x", "/nodes?page=99999999999999999999x"):
            assert self.listed(path)[0][0] in (seen[0], seen[-(total % SHOWN)])
        self.begin(scripts=False)
        self.open("/nodes")
        for step, at in (("next", 1), ("next", 2), ("prev", 1), ("last", -1),
                         ("first", 0)):
            b.follow(f".pager:first-child [rel={step}]")
            first = seen[SHOWN * at] if at >= 0 else seen[-(total % SHOWN)]
            assert b.text("tbody tr:first-child th a") == first, step
        assert self.path() == "/nodes"

    def order_of_the_list(self):
        for column, first, last in [
                ("address", "node-1", "node-1234"),
                ("expiry", "node-6", "rover-1230"),
                ("state", "node-1", "node-1234"),
                ("relay", "node-2", "rover-1230"),
                ("owner", "node-2", "rover-1230"),
                ("name", "evil", "rover-1230")]:
            assert self.listed("/nodes?sort=" + column)[0][0] == first, column
            assert self.listed("/nodes?sort=-" + column)[0][0] == last, column
        b = self.b
        self.begin(scripts=False)
        self.open("/nodes?q=12&user=lab-a")
        b.follow("thead th:nth-child(4) a")
        assert self.path() == "/nodes?q=12&user=lab-a&sort=address"
        assert b.text("th[aria-sort=ascending]").startswith("Address")
        b.follow("th[aria-sort] a")
        assert self.path() == "/nodes?q=12&user=lab-a&sort=-address"
        assert b.text("th[aria-sort=descending]").startswith("Address")

    def filters(self):
        for query, state, names in [
                ("NODE-1231", "", ["node-1231"]),
                ("rover-1230", "", ["rover-1230"]),
                ("tag:ROBOT rover-99", "", ["rover-990"]),
                ("100.64.0.9", "waiting", []), ("", "waiting", ["node-8"]),
                ("", "expiring", ["node-3", "node-4"]),
                ("lab-a", "expiring", ["node-4"]),
                ("", "expired", ["node-6"]), ("", "online", []),
                ("fd7a:115c:a1e0::4d1", "offline", ["node-1233"]),
                ("onerror", "", ["evil"])]:
            path = "/nodes?" + urllib.parse.urlencode(
                {"q": query, "state": state})
            assert self.listed(path)[0] == names, (query, state)
        assert self.listed("/nodes?relay=31")[0] == ["node-9"]
        assert f"of {NODES // 2:,} nodes" in self.listed(
            "/nodes?user=lab-a")[1]
        b = self.b
        self.begin(scripts=False)
        self.open("/nodes?user=lab-a&sort=-name")
        b.type("#q", "100.64.0.2")
        b.choose("#state", "offline")
        b.follow(".filter button")
        assert b.texts("tbody th a")[-1] == "node-2"
        assert (b.value("#q", "value"), b.value("#state", "value")) == (
            "100.64.0.2", "offline")
        assert "user=lab-a&sort=-name" in self.path(), self.path()

    def filter_while_typed(self):
        b = self.b
        self.begin()
        self.open("/nodes?sort=-name")
        b.script("window.same = true")
        b.type("#q", "rover-12")
        b.wait("fewer", lambda: b.texts("tbody th a") == [
            "rover-1230", "rover-1220", "rover-1210", "rover-1200",
            "rover-120"])
        assert self.path() == "/nodes?q=rover-12&sort=-name", self.path()
        b.choose("#state", "online")
        b.wait("none", lambda: "No node is like that" in b.text("#list"))
        assert b.script("return window.same"), "the page was loaded anew"
        assert b.complaints() == []

    def up_to_date_by_itself(self):
        """What happens elsewhere is seen soon, and what is under the hands of
        the visitor stays."""
        b = self.b
        self.begin()
        key = self.d.authkey("--ephemeral", user="lab-b")
        b.script("window.same = true")
        b.type("#login-user-0", "lab-")
        with online(self.d, key, "fresh"):
            b.wait("it is counted", lambda: "1 online" in b.text(".cards")
                   .replace("\n", " "))
            assert "fresh" in b.text("#recent")
            assert b.value("#login-user-0", "value") == "lab-"
            self.open("/nodes/fresh")
            assert b.text(".facts .mark.good") == "online"
            self.d.api("DELETE", "/nodes/fresh", status=204)
        assert b.complaints() == []
        # The token is no longer good: nothing stays on the screen.
        self.open("/nodes")
        b.call("DELETE", "/cookie")
        b.wait("login", lambda: b.text("h1") == "Log in")

    # ---- what can be done ----

    def users_and_keys(self):
        b = self.b
        self.begin(scripts=False)
        self.open("/users")
        b.type("#name", "new-lab")
        b.type("#display", EVIL)
        b.follow(".forms button")
        assert b.text(".notice") == "Done."
        assert EVIL in b.text("tbody tr:last-child")
        assert self.audit()[0]["who"] == "page from 127.0.0.1"
        b.type("#name", "New Lab!")
        b.follow(".forms button")
        assert 'user name "New Lab!"' in b.text("[role=alert]"), b.text()
        self.open("/keys")
        b.type("#user", "new-lab")
        b.type("#tags", "tag:robot")
        b.choose("#hours", "24")
        b.click("input[name=reusable]")
        b.follow(".forms button")
        secret = b.text("output")
        assert secret in b.text("code.secret")
        key = self.d.api("GET", "/preauthkeys?user=new-lab")["preauthkeys"]
        assert len(key) == 1 and key[0]["reusable"], key
        assert not key[0]["ephemeral"] and key[0]["tags"] == ["tag:robot"]
        with Client(self.d) as client:
            client.join(secret, "by-page")
        assert self.node("by-page")["preauthkey"] == key[0]["id"]
        self.open("/keys?user=new-lab")
        assert secret not in b.source
        b.follow("td.buttons button")
        assert not self.d.api("GET", "/preauthkeys?user=new-lab")[
            "preauthkeys"][0]["usable"]
        self.open("/keys?user=new-lab&show=all")
        b.follow("td.buttons button")
        assert self.d.api("GET", "/preauthkeys?user=new-lab") == {
            "preauthkeys": []}
        self.d.api("DELETE", "/nodes/by-page", status=204)
        user = self.d.api("GET", "/users")["users"][-1]["id"]
        assert self.post(f"/users/{user}/rename", {"name": "b.lab"}
                         ).headers["Location"] == "/users?done=1"
        assert self.post(f"/users/{user}/delete", {}).status == 303
        assert self.post(f"/users/{user}/delete", {}).status == 404
        assert b"owns" in self.post("/users/1/delete", {}).body

    def one_node(self):
        b = self.b
        self.begin(scripts=False)

        def form(what):
            return f"form[action='/nodes/12/{what}'] "

        def send(what, button="button"):
            b.follow(form(what) + button)
            assert b.text(".notice") == "Done.", b.text()

        self.open("/nodes/12")
        b.type("#name", "front-door")
        send("rename")
        assert b.text("h1") == "front-door"
        b.type("#tags", "tag:robot, tag:robot")
        send("tags")
        b.type("#tags", "tag:unknown")
        b.follow(form("tags") + "button")
        assert "tag:unknown" in b.text("[role=alert]")
        b.follow("main a.button")
        b.type("#user", "lab-b")
        send("move")
        send("approve")
        b.click(form("routes") + "[value='10.1.0.0/16']")
        send("routes")
        b.choose("#days", "30")
        send("expire")
        node = self.node("front-door")
        assert node["id"] == 12 and node["user"] == "lab-b", node
        assert node["tags"] == ["tag:robot"] and not node["approved"]
        assert node["routes"]["approved"] == ["10.1.0.0/16"]
        assert abs(time.time() + 30 * 86400 - time.mktime(time.strptime(
            node["expiry"] + "+0000", "%Y-%m-%dT%H:%M:%SZ%z")
        ) + time.timezone) < 86400
        b.choose("#days", "never")
        send("expire")
        send("approve")
        node = self.node("front-door")
        assert node["expiry"] is None and node["approved"]
        history = b.texts("#history td.what")
        assert history[:3] == ["node approve", "node expire", "node expire"]
        assert len(history) == 8, history
        b.click(form("delete") + "summary")
        b.follow(form("delete") + "button")
        b.wait("the list", lambda: b.text("h1") == "Nodes")
        assert self.d.raw("GET", "/api/v1/nodes/front-door").status == 404

    def waiting_logins(self):
        b = self.b
        self.begin(scripts=False)
        with Client(self.d) as wanted, Client(self.d) as unwanted:
            for client, name in ((wanted, "wanted"), (unwanted, "unwanted")):
                client.id = client.register(None, name)["AuthURL"].rpartition(
                    "/")[2]
            self.open("/")
            assert self.d.api("GET", "/logins")["logins"][1]["id"] in b.source
            b.follow(f"form[action='/logins/{unwanted.id}/deny'] button")
            form = f"form[action='/logins/{wanted.id}/approve'] "
            b.type(form + "input", "nobody-here")
            b.follow(form + "button")
            assert 'no user "nobody-here"' in b.text("[role=alert]")
            b.follow("main a.button")
            b.type(form + "input", "lab-a")
            b.follow(form + "button")
            assert b.text("h1") == "wanted"
            assert wanted.register(None, "wanted")["MachineAuthorized"]
            self.d.api("DELETE", "/nodes/wanted", status=204)
        left = self.d.api("GET", "/logins")["logins"]
        assert [l["hostname"] for l in left] == [EVIL], left
        self.open("/")
        b.follow("#devices button")
        assert b.text("h1") == "node-8" and self.node("node-8")["approved"]

    def bad_forms(self):
        before = self.audit()
        for path, form, status, says in [
                ("/nodes/999999/delete", {}, 404, b"no such node"),
                ("/nodes/node-5/delete", {}, 404, b"no such node"),
                ("/nodes/5/expire", {"days": "soon"}, 400, b"want never"),
                ("/nodes/5/expire", {"days": ""}, 400, b"want never"),
                ("/nodes/5/expire", {"days": "99999999999999999999"}, 400,
                 b"want never"),
                ("/nodes/5/rename", {"name": "a b"}, 400, b"node name"),
                ("/nodes/5/rename", {"name": "node-1"}, 409, b"has it"),
                ("/nodes/5/move", {}, 400, b"no user"),
                ("/nodes/5/tags", {"tags": "robot"}, 400, b"robot"),
                ("/nodes/5/tags", {"tags": "tag:robot " * 65}, 400,
                 b"at most 64"),
                ("/nodes/5/routes", {"route": "10.0.0.0/33"}, 400,
                 b"10.0.0.0/33"),
                ("/keys", {"user": "lab-a", "hours": "0"}, 400, b"want never"),
                ("/keys", {"user": "x", "hours": "1"}, 400, b"no user"),
                ("/keys/99/expire", {}, 404, b"no such key"),
                ("/keys/x/expire", {}, 404, b"no such key"),
                ("/logins/00/approve", {"user": "lab-a"}, 404, b"waits"),
                ("/logins/00/deny", {}, 404, b"waits"),
                ("/users", {"name": "lab-a"}, 409, b"lab-a"),
                ("/users", {"name": "x" * 70000}, 400, b"64 KiB"),
                ("/users", {"name": "<b>"}, 400, b"&lt;b&gt;")]:
            answer = self.post(path, form)
            assert answer.status == status, (path, form, answer.status)
            assert says in answer.body, (path, form, answer.body)
            Nesting(answer.body.decode())
        for body in ("name", "=x", "name=a%00b&display_name=%ff", "\0"):
            answer = self.d.raw("POST", "/users/1/delete", body, {
                "Origin": self.base, "Cookie":
                f"coordd_token={self.d.token()}"}, True)
            assert answer.status in (400, 409), (body, answer.status)
        assert self.audit() == before


@contextlib.contextmanager
def everything():
    with Api("-approve-devices=false", start=False) as d:
        seed(d, int(time.time()))
        d.start()
        policy = os.path.join(d.folder.name, "policy")
        d.works("preauthkeys", "create", "--user", "lab-a", "--reusable",
                "--expiration", "5d")
        with open(policy, "w") as file:
            file.write(POLICY)
        d.works("policy", "set", policy)
        with Client(d) as waiting, browser.Browser() as b:
            url = waiting.register(None, EVIL)["AuthURL"]
            page = Page(d, b)
            page.login = url.rpartition("/")[2]
            yield page


if __name__ == "__main__":
    if absent := browser.missing():
        print(f"1..0 # skip {absent[0]} is not installed; "
              "deploy/bootstrap test installs it")
        sys.exit(0)
    with everything() as p:
        status = main([
            p.login_and_logout, p.nothing_without_token,
            p.login_leads_nowhere_else, p.many_wrong_tokens, p.other_sites,
            p.reading_without_scripts, p.policy_is_shown, p.hostile_text,
            p.policy_of_content, p.on_a_phone, p.by_day_and_by_night,
            p.for_all_readers, p.pages_of_the_list, p.order_of_the_list,
            p.filters, p.filter_while_typed, p.up_to_date_by_itself,
            p.users_and_keys, p.one_node, p.waiting_logins, p.bad_forms])
    sys.exit(status)
