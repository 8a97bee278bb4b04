#!/usr/bin/python3
# tests/run: limit=180 one-thread
"""natprobe_views_test: natprobe predict and natprobe report, on result files:
honest ones, hostile ones, and the page as a browser shows and prints it.
Prints TAP.
"""

import base64
import copy
import html
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import traceback

import browser

TOP = pathlib.Path(__file__).resolve().parent.parent.parent
NATPROBE = os.environ.get("NATPROBE", str(TOP / "build/release/natprobe"))
LIMIT = 60.0
EVIL = "<script>document.title='hacked'</script>\u202e'\"&amp;<img src=x>"
WHEN = "2026-11-22T21:50:06Z"


# ---- results ----

def life(alive=None, dead=None, why="not-asked"):
    return {"alive": alive, "dead": dead,
            "why": None if dead else "longer-than-tried" if alive else why,
            "sockets": 30, "monotone": True}


def verdict(word, why=None, **more):
    return {"verdict": word, "why": why, **more}


def family(mapping="endpoint-independent",
           filtering="address-and-port-dependent", early="no", ip="198.51.100.1",
           lives=(None, None), **changes):
    """One as natprobe writes it (docs/natprobe.md)."""
    address = f"[{ip}]:41641" if ":" in ip else f"{ip}:41641"
    return {
        "udp": "yes", "nat": "no" if mapping == "none" else "yes",
        "servers": [
            {"name": "stun.campus.example", "address": "203.0.113.10:3478",
             "answers": True, "rtt_ms": 2.5, "mapped": address,
             "other_address": "203.0.113.11:3479",
             "other_address_impossible": False},
            {"name": "far.example", "address": "203.0.113.99:3478",
             "answers": False, "rtt_ms": None, "mapped": None,
             "other_address": None, "other_address_impossible": False}],
        "mapping": verdict(mapping, short=None, sockets=8, agree=8, counts={},
                           address_varies=False, external=address),
        "filtering": verdict(filtering, **{"from": {}, "controls": {}}),
        "cone": None,
        "ports": verdict("preserving", sockets=40, preserved=40,
                         parity_kept=40, lowest=33000, highest=60000,
                         addresses=1, guess=1.0),
        "early_packet_changes_mapping": verdict(early),
        "until_collision": verdict("unknown", "not-asked"),
        "hairpin": verdict("unknown", "not-asked", heard=0, sent=0),
        "lifetime": {
            "one_packet_out": life(*lives), "exchange": life(*lives),
            "stream": life(*[x and 4 * x for x in lives]),
            "refresh": {"outbound": "unknown", "inbound": "unknown",
                        "why": "not-asked"}},
        "packets_sent": 250, **changes}


def tcp(mapping="endpoint-independent", lives=(None, None), why=None,
        works="yes", **changes):
    return {
        "works": works, "why": why, "servers": [],
        "mapping": verdict(mapping, short=None, sockets=5, agree=5, counts={},
                           address_varies=False, external="198.51.100.1:7",
                           connections=20, ports_preserved=20,
                           destinations=[]),
        "filtering": verdict("unknown", "no-server-can-ask"),
        "lifetime": {**life(*lives), "first_after_pause": "server",
                     "when_dead": "silent", "keepalive": {
                         "refreshes": "unknown", "why": "not-asked"}},
        "connections_made": 21, **changes}


def result(building, time=WHEN, **families):
    return {"natprobe": 1, "version": "test", "time": time,
            "building": building, "complete": True, **families}


EIM = result("Hall 1", ipv4=family(lives=(28, 30)))
POISON = result("Lab 2", ipv4=family(early="yes", ip="198.51.100.2",
                                     lives=(118, 122)))
EDM = result("Library", ipv4=family(
    "address-and-port-dependent", ip="198.51.100.3", lives=(14, 16),
    hairpin=verdict("no", heard=0, sent=6)))
OPEN = result("Dormitory", ipv4=family(
    filtering="endpoint-independent", ip="198.51.100.4", lives=(200, None)))
BLOCKED = result("Cellar", ipv4=family(udp="no", nat="unknown"))
BLOCKED["ipv4"]["servers"][0].update(answers=False, rtt_ms=None)
VAGUE = result("Garden", ipv4=family(
    mapping="unknown", filtering="unknown", early="unknown",
    ip="198.51.100.6"))
VAGUE["ipv4"]["mapping"]["why"] = "one-server-address"
SIX = result("Annex", ipv4=EDM["ipv4"], ipv6=family(
    "none", ip="2001:db8:7::15"))
RELAY = {"name": "relay-1", "region": "campus", "works": True,
         "nearest": True, "latency": {
             "sent": 20, "lost": 1, "p50_ms": 4.0, "p95_ms": 8.0,
             "jitter_ms": 0.5, "over": "ipv4", "failed": None}}
DEAD = {"name": EVIL, "works": False, "latency": None}
EIM["relays"] = [RELAY, DEAD]
ALL = [EIM, POISON, EDM, OPEN, BLOCKED, VAGUE, SIX]


def run(*words):
    return subprocess.run([NATPROBE, *map(str, words)], text=True,
                          capture_output=True, timeout=LIMIT,
                          stdin=subprocess.DEVNULL)


class Folder:
    """A folder of results; report's page of it."""

    def __enter__(self):
        self.held = tempfile.TemporaryDirectory()
        self.path = pathlib.Path(self.held.name)
        return self

    def __exit__(self, *_):
        self.held.cleanup()

    def put(self, name, what):
        path = self.path / name
        if isinstance(what, dict):
            what = json.dumps(what)
        if isinstance(what, str):
            what = what.encode()
        path.write_bytes(what)
        return path

    def put_all(self, results):
        for i, r in enumerate(results):
            self.put(f"{i}.json", r)

    def predict(self, a, b, *flags):
        return run("predict", *flags, self.put("a.json", a),
                   self.put("b.json", b))


# ---- predict ----

def predict_words():
    """Each outcome: its word, its reason and its exit status."""
    cases = [(EIM, OPEN, 0, r"IPv4  direct \(confidence high\)"),
             (OPEN, EDM, 0, r"A has one external endpoint for everybody"),
             (POISON, EIM, 4, r"direct if A sends first"),
             (EIM, POISON, 4, r"direct if B sends first"),
             (POISON, {**POISON, "building": "Lab 3", "ipv4": {
                 **POISON["ipv4"], "mapping": {
                     **POISON["ipv4"]["mapping"],
                     "external": "198.51.100.77:1"}}}, 4, "unreliable"),
             (EIM, EDM, 1, r"relay .*\n.*B's NAT uses a new external port"),
             (EIM, BLOCKED, 1, r"B lets no UDP through"),
             (EIM, VAGUE, 3, r"how the NAT maps at B is not known: the "
                             r"servers asked have one address"),
             (SIX, SIX, 0, r"IPv6  direct"),
             (EIM, {**EIM, "building": "Hall 9"}, 3, r"same NAT")]
    with Folder() as f:
        for a, b, status, words in cases:
            done = f.predict(a, b)
            assert done.returncode == status and not done.stderr, done
            assert re.search(words, done.stdout), (words, done.stdout)


def predict_idle():
    with Folder() as f:
        for a, b, words in (
                (OPEN, EDM, "Closes while idle: at B a mapping lives 16 s"),
                (OPEN, EIM, "Stays open while idle: mappings live 28 s"),
                (OPEN, result("x", ipv4=family(ip="198.51.100.9")),
                 "measure B with -lifetime.")):
            done = f.predict(a, b)
            assert words in done.stdout, done.stdout


def predict_json():
    with Folder() as f:
        done = f.predict(SIX, EIM, "-json")
        assert done.returncode == 1, done
        said = json.loads(done.stdout)
        assert said["natprobe_predict"] == 1
        assert (said["outcome"], said["family"]) == ("relay", "ipv4"), said
        assert said["a"]["building"] == "Annex"
        assert said["ipv4"]["cause"] == "mapping-depends"
        assert said["ipv4"]["at"] == "a" and said["ipv4"]["guess"] == 1.0
        assert said["ipv6"]["cause"] == "not-asked" and \
            said["ipv6"]["at"] == "b"
        assert said["ipv4"]["idle"] == {
            "verdict": "drops", "at": "a", "alive": 14.0, "dead": 16.0}
        said = json.loads(f.predict(VAGUE, EIM, "--json").stdout)
        assert said["ipv4"]["missing"] == {
            "fact": "mapping", "at": "a", "why": "one-server-address"}, said


def router_facts():
    """What natprobe -portmap and the way to the servers tell."""
    def behind(works, count, confidence, carrier, **more):
        return result("Attic", ipv4=family(
            "address-and-port-dependent", ip="198.51.100.8", **more,
            gateway={"mapping_works": works},
            nats={"count": count, "confidence": confidence,
                  "carrier": carrier, "evidence": []}))
    with Folder() as f:
        done = f.predict(EIM, behind("yes", 1, "high", "no"), "-json")
        path = json.loads(done.stdout)["ipv4"]
        assert done.returncode == 0 and path["cause"] == "port-on-demand" \
            and path["at"] == "b", done
        done = f.predict(EIM, behind("yes", 1, "high", "no"))
        assert "B's router opens a port on demand" in done.stdout, done
        assert f.predict(EIM, behind("no", None, "none", "unknown")
                         ).returncode == 1
        one_line(f.predict(EIM, behind("maybe", 1, "high", "no")), 2,
                 "ipv4.gateway.mapping_works", '"maybe"')
        one_line(f.predict(EIM, behind("yes", -1, "high", "no")), 2,
                 "ipv4.nats.count")
    for r, words in ((behind("no", 2, "high", "yes"), "a carrier&#39;s NAT"),
                     (behind("no", 2, "high", "unknown"), "Translate addresses once"),
                     (behind("no", 2, "low", "unknown"), None)):
        with Folder() as f:
            f.put_all([r])
            page = run("report", f.path).stdout
            for wish in ("a carrier&#39;s NAT", "Translate addresses once"):
                assert (wish in page) == (wish == words), (wish, words)


def one_line(done, status, *words):
    lines = done.stderr.splitlines()
    assert done.returncode == status and len(lines) == 1, done
    for word in words:
        assert word in lines[0], (word, lines)
    assert not re.search("[\x00-\x1f\x7f\u202e]", lines[0]), lines


def changed(path, value):
    """EIM with one thing changed; value KeyError: removed."""
    r = copy.deepcopy(EIM)
    *way, last = path.split(".")
    o = r
    for key in way:
        o = o[key]
    if value is KeyError:
        del o[last]
    else:
        o[last] = value
    return r


def hostile_files():
    """One line each, that says where and what; never a crash."""
    text = json.dumps(EIM)
    cases = [
        ("", "not JSON"), ("{", "not JSON"), ("[]", "no result"),
        ("null", "not JSON"), ("{}", "no result"), ('"x"', "not JSON"),
        (b"\xff\xfe\x00", "not JSON"), (text[:-40], "not JSON"),
        (text + "x", "not JSON"), ("[" * 100000, "not JSON"),
        (text.replace('"time"', '"natprobe": 1, "time"', 1), "not JSON"),
        (" " * (1 << 20) + text, "longer than any result"),
        (changed("natprobe", 2), "natprobe: version 2; this program reads"),
        (changed("natprobe", "1"), "no result"),
        (changed("natprobe", 1e300), "no result"),
        (changed("time", "yesterday\n"), "time: want a form like"),
        (changed("building", 7), "building: want a string"),
        (changed("complete", 1), "complete: want true or false"),
        (changed("ipv4", []), "ipv4: want an object"),
        (changed("ipv4.udp", "maybe\u202e\x1b[1m"), 'ipv4.udp: "maybe??[1m"'),
        (changed("ipv4.mapping", KeyError), "ipv4.mapping: missing"),
        (changed("ipv4.mapping.verdict", "x" * 9999),
         "ipv4.mapping.verdict: "),
        (changed("ipv4.mapping.sockets", -1), "want a number from 0"),
        (changed("ipv4.mapping.sockets", 1e18), "want a number from 0"),
        (changed("ipv4.mapping.external", "198.51.100.1"),
         "ipv4.mapping.external: want an IP address and a port"),
        (changed("ipv4.mapping.external", "300.1.1.1:5"), "want an IP"),
        (changed("ipv4.mapping.external", "[::1:5"), "want an IP"),
        (changed("ipv4.mapping.external", ":"), "want an IP"),
        (changed("ipv4.ports.guess", 2), "from 0 to 1"),
        (changed("ipv4.lifetime.exchange", life(30, 20)),
         "ipv4.lifetime.exchange.dead: is less than alive"),
        (changed("ipv4.lifetime.stream.alive", "30"), "want a number"),
        (changed("relays", {}), "relays: want an array"),
        (changed("relays", [[]]), "relays: want objects"),
        (changed("relays", [RELAY] * 513), "relays: more than 512"),
        (changed("relays", [{**DEAD, "works": 1}]),
         "relays.works: want true or false"),
        (changed("relays", [{**RELAY, "latency": {"sent": 1}}]),
         "relays.latency.lost: missing"),
        (changed("ipv4.servers", {}), "ipv4.servers: want an array"),
        (changed("ipv4.servers", [1]), "ipv4.servers: want objects"),
        (changed("ipv4.servers", EIM["ipv4"]["servers"] * 9),
         "ipv4.servers: more than natprobe ever asks"),
    ]
    with Folder() as f:
        good = f.put("good.json", EIM)
        for what, words in cases:
            bad = f.put("bad.json", what)
            one_line(run("predict", good, bad), 2, "bad.json: ", words)
        one_line(run("predict", good, f.path / "none.json"), 2,
                 "No such file")
        one_line(run("predict", f.path, good), 2, "Is a directory")


def bad_arguments():
    with Folder() as f:
        good = f.put("good.json", EIM)
        one_line(run("predict"), 2, "want two results, not 0", "usage: ")
        one_line(run("predict", good), 2, "not 1")
        one_line(run("predict", good, good, good), 2, "not 3")
        one_line(run("predict", "-jsn", good, good), 2, 'no flag "-jsn"')
        one_line(run("report"), 2, "which folder?", "usage: ")
        one_line(run("report", f.path, f.path), 2, "one folder")
        one_line(run("report", f.path, "-o"), 2, "-o: want a file")
        one_line(run("report", f.path, "-x"), 2, 'no flag "-x"')
        one_line(run("report", f.path / "none"), 2, "No such file")
        one_line(run("report", f.path, "-o", f.path / "no/x.html"), 2,
                 "No such file")
        good.unlink()
        one_line(run("report", f.path), 2, "no result in it")


# ---- report ----

def report_writes_to():
    """What is no plain file is written to, and not replaced; and a run with
    all relays of a large map can be read."""
    with Folder() as f:
        f.put("a.json", {**EIM, "relays": [RELAY] * 200})
        target, link = f.path / "target.html", f.path / "link.html"
        target.write_text("x" * 1000000)
        link.symlink_to(target)
        done = run("report", f.path, "-o", link)
        assert done.returncode == 0, done
        assert link.is_symlink()
        assert target.read_text().rstrip().endswith("</html>")
        os.mkfifo(f.path / "fifo")
        one_line(run("report", f.path, "-o", f.path / "fifo"), 2, "fifo")


def report_leaves_out():
    """Bad files are named, on the page and beside it; the rest is there."""
    with Folder() as f:
        f.put_all([EIM, EDM])
        f.put("broken.json", "{")
        f.put("notes.txt", "no result, and not looked at")
        os.mkfifo(f.path / "pipe.json")
        done = run("report", f.path)
        assert done.returncode == 1, done
        assert sorted(done.stderr.splitlines()) == [
            "natprobe: report: left out broken.json: line 1, column 1: this "
            "is not JSON, or not all of it",
            "natprobe: report: left out pipe.json: not a plain file"], done
        assert "pipe.json: not a plain file\n" in done.stdout
        assert "Hall 1" in done.stdout and "Library" in done.stdout
        assert "notes.txt" not in done.stdout


def sheets_of(page, rfc="RFC 4787"):
    """{building and family: {requirement: (class, what was found)}}"""
    found = {}
    head, *parts = page.partition("requirement by requirement")[2].split("<h3>")
    for part in parts:
        for table in part.split("<table")[1:]:
            if f'"col">{rfc}<' in table:
                rows = {
                    name: rest for name, *rest in re.findall(
                        r'row">(REQ-\d+)</th><td>[^<]*</td>'
                        r'<td class="(\w+)">[^<]*</td><td>([^<]*)<', table)}
                for text, word in ((head, "never"), (table, "untried")):
                    rows.update({name: [word, why] for name, why in re.findall(
                        r"(REQ-\d+), .*?(\([^;]*)", html.unescape(
                            text.partition(f"{rfc}, not tried:")[2].partition(
                                "</p>")[0]))})
                found[part.partition("<")[0]] = rows
    return found


def report_requirements():
    with Folder() as f:
        f.put_all([POISON, EDM, BLOCKED, SIX])
        page = run("report", f.path).stdout
    sheets = {name: {n: r[0] for n, r in rows.items()}
              for name, rows in sheets_of(page).items()}
    assert sheets["Lab 2, IPv4"] == {
        "REQ-1": "pass", "REQ-2": "pass", "REQ-3": "untried", "REQ-4": "pass",
        "REQ-5": "unknown", "REQ-6": "untried", "REQ-7": "never",
        "REQ-8": "fail", "REQ-9": "untried", "REQ-10": "unknown",
        "REQ-11": "fail", "REQ-12": "untried", "REQ-13": "untried",
        "REQ-14": "untried"}, sheets
    assert sheets["Library, IPv4"]["REQ-1"] == "fail"
    assert sheets["Library, IPv4"]["REQ-5"] == "fail"
    assert sheets["Library, IPv4"]["REQ-9"] == "fail"
    assert sheets["Annex, IPv6"]["REQ-1"] == "pass"
    assert sheets["Annex, IPv6"]["REQ-12"] == "pass"
    assert set(sheets["Cellar, IPv4"].values()) == {
        "unknown", "untried", "never"}


def report_path_requirements():
    """REQ-10 and 12 to 14: what the path says of them, and no more."""
    def way_out(come, said):
        return {"path": {"icmp_errors": {
            "come": come, "closed_port_asked": 3, "closed_port_said": said}}}

    def names(*findings):
        servers = copy.deepcopy(EIM["ipv4"]["servers"])
        servers[0]["findings"] = list(findings)
        return {"servers": servers}

    cases = [
        ("REQ-10", {}, "partly", "STUN&#39;s answers are left alone"),
        ("REQ-10", {"alg": "yes"}, "fail", "are rewritten"),
        ("REQ-10", {"alg": "unknown"}, "unknown", "no server told"),
        ("REQ-10", {"alg": "no", **names("tells-two-addresses")}, "fail",
         "are rewritten"),
        ("REQ-10", {"alg": "no", **names("answers-late")}, "partly", ""),
        ("REQ-12", {}, "untried", "natprobe -trace"),
        ("REQ-12", way_out("yes", 2), "partly", "comes in (12b)"),
        ("REQ-12", way_out("yes", 0), "partly", "time exceeded"),
        ("REQ-12", way_out("unknown", 0), "unknown", "nobody sent one"),
        ("REQ-12", {"mapping": "none"}, "pass", "no NAT"),
        ("REQ-13", {}, "untried", "1500 bytes pass"),
        ("REQ-13", {"out": ("told-by-icmp", 1400, 1401)}, "pass",
         "more than 1400 bytes is told"),
        ("REQ-13", {"out": ("black-hole", 1396, 1400)}, "fail",
         "over 1396 bytes vanish"),
        ("REQ-13", {"out": ("own-link", 1400, 1401)}, "untried", "own link"),
        ("REQ-13", {"out": ("unknown", None)}, "unknown", "too few"),
        ("REQ-14", {}, "partly", "out of order was not tried"),
        ("REQ-14", {"frags": ("no", "unknown")}, "fail", "outbound"),
        ("REQ-14", {"frags": ("yes", "no")}, "fail", "inbound"),
        ("REQ-14", {"frags": ("yes", "unknown"), "why": "server-refuses"},
         "partly", "inbound not known: the server refused such requests"),
        ("REQ-14", {"frags": ("unknown", "unknown"), "why": "passes-whole"},
         "untried", "2000 bytes pass in one piece"),
        ("REQ-14", {"frags": ("unknown", "unknown"), "why": "too-few-answers"},
         "unknown", "too many packets were lost"),
    ]
    for name, changes, judged, found in cases:
        with Folder() as f:
            f.put("path.json", with_path(**changes))
            page = run("report", f.path).stdout
        row = sheets_of(page)["path, IPv4"][name]
        assert row[0] == judged and found in row[1], (name, changes, row)


def report_tcp():
    """RFC 5382, of results that have it; others have no such table."""
    def of(building, **more):
        return result(building, ipv4=family(tcp=tcp(**more)))

    with Folder() as f:
        f.put_all([
            EIM, of("Short", mapping="address-dependent", lives=(48, 52)),
            of("Long", lives=(600, None)),
            of("Dead", mapping="unknown", works="no", why="tcp-reset")])
        page = run("report", f.path).stdout
    sheets = {name.partition(",")[0]: rows
              for name, rows in sheets_of(page, "RFC 5382").items()}
    assert set(sheets) == {"Short", "Long", "Dead"}, sheets
    for rows in sheets.values():
        assert set(rows) == {f"REQ-{n}" for n in range(1, 11)}, rows
        assert {rows[f"REQ-{n}"][0] for n in (3, 4, 6, 7, 8, 9, 10)} == {
            "never"}, rows
    short, long = sheets["Short"], sheets["Long"]
    assert short["REQ-1"][0] == "fail", sheets
    assert short["REQ-5"] == ["fail", "48 to 52 s"], sheets
    assert short["REQ-2"][0] == "partly", sheets
    assert long["REQ-1"][0] == "pass" and long["REQ-5"][0] == "unknown", sheets
    assert long["REQ-5"][1].startswith("600 s or longer"), sheets
    assert [sheets["Dead"][n][0] for n in ("REQ-1", "REQ-2", "REQ-5")] == [
        "unknown", "unknown", "untried"], sheets
    for words in ("Map TCP endpoint-independently, too (RFC 5382 REQ-1)",
                  "idle TCP connections to 7440 s (RFC 5382 REQ-5); one lives "
                  "48 to 52 s now, which is less than relays&#39; keepalive"):
        assert page.count(words) == 1, words
    for bad, where in (({"works": "perhaps"}, "ipv4.tcp.works"),
                       ({"lifetime": None}, "ipv4.tcp.lifetime"),
                       ({"mapping": {}}, "ipv4.tcp.mapping.verdict")):
        with Folder() as f:
            f.put_all([of("Good")])
            f.put("bad.json", json.dumps(result("Bad", ipv4=family(
                tcp={**tcp(), **bad}))))
            done = run("report", f.path)
            assert done.returncode == 1 and where in done.stderr, done.stderr


def report_takes_newest():
    old = {**EDM, "time": "2026-11-01T08:00:00Z", "building": "Hall 1"}
    with Folder() as f:
        f.put_all([old, EIM, OPEN])
        done = run("report", f.path)
        assert done.returncode == 0 and not done.stderr, done
        head, _, past = done.stdout.partition(">History<")
        assert "2026-11-01" in past and "2026-11-01" not in head
        assert "if row first" not in head and 'class="relay"' not in head


def report_wishes():
    with Folder() as f:
        f.put_all(ALL)
        page = run("report", f.path).stdout
    for words in ("Map UDP endpoint-independently (RFC 4787 REQ-1",
                  "Drop unsolicited UDP to the gateway&#39;s own address",
                  "Raise the UDP timeout to 300 s",
                  "Support hairpinning (RFC 4787 REQ-9)",
                  "Allow UDP over IPv4 to the STUN servers "
                  "stun.campus.example, far.example"):
        assert words in page, words


def way(word, passes, fails=None):
    return {"verdict": word, "passes": passes, "fails": fails, "why": None}


def router(speaks=("no", "no", "no"), works="unknown", count=1,
           confidence="high", carrier="no"):
    names = ("pcp", "nat_pmp", "upnp")
    return {"gateway": {"address": "10.0.2.2", "mapping_works": works,
                        **{n: {"answers": a} for n, a in zip(names, speaks)}},
            "nats": {"count": count, "confidence": confidence,
                     "carrier": carrier, "evidence": []}}


def proxy(verdict=None, needed="no", **more):
    return {"https_proxy": verdict and "http://proxy:3128",
            "http_proxy": False, "credentials": False, "why": None,
            "wpad": "no", "relays": [] if verdict is None else [
                {"name": "relay-1", "uses_proxy": True, "verdict": verdict,
                 "needed": needed}], **more}


def with_path(blocked="no", out=("full", 1500), into=("full", 1500),
              fits="yes", frags=("yes", "yes"), alg="no", dns="kept",
              why=None, **more):
    """A result that has looked at the path."""
    told = result("path", ipv4=family(**more))
    told["ipv4"]["udp_blocked"] = {
        "verdict": blocked.partition(":")[0],
        "why": blocked.partition(":")[2] or None}
    told["ipv4"]["alg"] = {"verdict": alg, "why": None}
    told["dns"] = {"nonexistent": {"verdict": dns}, "relays": []}
    told["path"] = {"ipv4": {
        "mtu": {"outbound": way(*out), "inbound": way(*into),
                "tailscale_fits": fits, "tailscale_needs": 1340},
        "fragments": {"outbound": {"passes": frags[0], "why": why},
                      "inbound": {"passes": frags[1], "why": why}},
        "ports": []}}
    return told


def tables_of(page):
    """{heading: [[cell, ...], ...]}"""
    return {title: [[html.unescape(re.sub("<[^>]*>", "", c)) for c in
                     re.findall(r"<t[hd][^>]*>.*?</t[hd]>", row)]
                    for row in body.split("<tr>")[2:]]
            for title, body in re.findall(
                r'<h2>([^<]*)</h2>\n<table class="way">(.*?)</table>', page,
                re.S)}


WAYS = ("UDP and packet sizes", "NATs in line, and ports on demand", "TCP",
        "Names, portals and proxies")


def report_ways():
    """What a result knows of the way has its tables, and what it does not
    know has none."""
    full = with_path(
        out=("told-by-icmp", 1400, 1401), into=("black-hole", 1300, 1304),
        fits="no", frags=("yes", "no"), dns="rewritten",
        path={"icmp_errors": {"come": "yes", "closed_port_asked": 3,
                              "closed_port_said": 3}},
        tcp=tcp(lives=(48, 52)), **router(
            ("yes", "no", "yes"), "yes", 2, "medium", "yes"))
    full.update(building="Full", proxy=proxy("works", "yes"))
    full["relays"] = [{**RELAY, "captive_portal": {
        "verdict": "no", "why": None}}]
    with Folder() as f:
        f.put_all([full, EIM, BLOCKED])
        page = run("report", f.path).stdout
    tables = tables_of(page)
    assert tuple(tables) == WAYS, tables
    sizes, nats, tcps, names = (tables[t] for t in WAYS)
    assert sizes == [["Full", "IPv4", "passes", "1400, told by ICMP",
                      "1300, black hole", "no", "yes", "no", "yes"]], sizes
    assert nats == [["Full", "IPv4", "2, fairly sure", "yes", "yes", "no",
                     "yes", "yes"]], nats
    assert tcps == [["Full", "IPv4", "yes", "EIM", "20 of 20", "48 to 52 s",
                     "not tried"]], tcps
    assert names == [["Full", "lies about names that do not exist",
                      "nothing wrong is known", "no", "works", "yes", "no"]], \
        names
    with Folder() as f:
        f.put_all([EIM, BLOCKED])
        assert tables_of(run("report", f.path).stdout) == {}
    for blocked, words in (
            ("blocked", "blocked, TCP passes"),
            ("captive-portal", "blocked by a captive portal"),
            ("unknown:tcp-80-alone-answers", "maybe a captive portal"),
            ("server-down", "the STUN server is down")):
        with Folder() as f:
            f.put("path.json", with_path(blocked=blocked, udp="no"))
            cells = tables_of(run("report", f.path).stdout)[WAYS[0]][0]
            assert cells[2] == words, cells


def report_way_wishes():
    """Ports on demand, proxies, portals and names are asked for."""
    edm = {"mapping": "address-and-port-dependent"}
    ports = "Or let the router open ports on demand"
    broken = "See to the router&#39;s ports on demand"
    cases = [
        ({**edm, **router()}, {}, ports),
        ({**edm, **router(("yes", "no", "no"))}, {}, None),
        ({**edm, **router(count=2)}, {}, None),
        (router(), {}, None),
        (router(("no", "no", "yes"), "no"), {}, broken),
        ({}, {"proxy": proxy("wants-credentials")}, "Let robots reach the "
         "relays without the proxy, or give them a name"),
        ({}, {"proxy": proxy("refuses")}, "Let the proxy pass CONNECT"),
        ({}, {"proxy": proxy("relay-fails")}, "leave the relays&#39; TLS"),
        ({}, {"proxy": proxy("works", "yes")}, "without the proxy: they are"),
        ({}, {"proxy": proxy("works")}, None),
        ({}, {"dns": {"nonexistent": {"verdict": "kept"}, "relays": [
            {"name": "r", "verdict": "differs"}]}}, "tell the relays&#39;"),
        ({}, {"relays": [{**RELAY, "captive_portal": {
            "verdict": "yes", "why": "302"}}]}, "from the captive portal"),
    ]
    every = {w for *_, w in cases if w}
    for of_family, changes, word in cases:
        with Folder() as f:
            f.put("x.json", {**result("x", ipv4=family(**of_family)),
                             **changes})
            page = run("report", f.path).stdout
        for w in every:
            assert (w in page) == (w == word), (of_family, changes, w)


def report_path_wishes():
    """What is wrong with the path is asked for, and nothing else."""
    cases = [
        ({}, []),
        ({"out": ("black-hole", 1300, 1304), "into": ("as-outbound", 1300),
          "fits": "no"},
         ["Raise the path MTU to 1340 bytes at least", "now 1300 pass "
          "outbound and 1300 inbound", "outbound packets larger than 1300 "
          "bytes vanish"]),
        ({"into": ("black-hole", 1400, 1404)},
         ["inbound packets larger than 1400 bytes vanish"]),
        ({"frags": ("no", "unknown")}, ["outbound ones are dropped"]),
        ({"frags": ("yes", "no")}, ["inbound ones are dropped"]),
        ({"alg": "yes"}, ["Switch the application layer gateway"]),
        ({"dns": "rewritten"}, ["Have the resolver tell the truth"]),
        ({"blocked": "captive-portal", "udp": "no"},
         ["Except robots from the captive portal: they cannot"]),
        ({"blocked": "unknown:tcp-80-alone-answers", "udp": "no"},
         ["Except robots from the captive portal, if there is one"]),
        ({"blocked": "no-network", "udp": "no"},
         ["Let TCP to port 443 of the relays out", "Allow UDP over IPv4"]),
        ({"blocked": "port-blocked", "udp": "no"},
         ["Allow UDP to the port of the STUN servers, 3478"]),
        ({"blocked": "blocked", "udp": "no"}, ["Allow UDP over IPv4"]),
        ({"blocked": "server-down", "udp": "no"}, []),
    ]
    every = {w for _, words in cases for w in words}
    for changes, words in cases:
        with Folder() as f:
            f.put("path.json", with_path(**changes))
            page = run("report", f.path).stdout
        for word in every:
            assert (word in page) == (word in words), (changes, word, page)


def report_bad_path():
    for key, value, why in (
            ("path", 5, "path"), ("path", {"ipv4": {}}, "path.ipv4.mtu"),
            ("dns", [], "dns"), ("dns", {}, "dns.nonexistent"),
            ("dns", {"nonexistent": {"verdict": "kept"}, "relays": [5]},
             "dns.relays"),
            ("proxy", 5, "proxy"), ("proxy", {}, "proxy.http_proxy"),
            ("proxy", {**proxy(), "relays": [{"verdict": "fine"}]},
             "proxy.relays.verdict"),
            ("relays", [{**RELAY, "captive_portal": {"verdict": 1}}],
             "relays.captive_portal.verdict")):
        with Folder() as f:
            f.put("path.json", {**with_path(), key: value})
            f.put("good.json", with_path())
            done = run("report", f.path)
            assert done.returncode == 1 and why in done.stderr, done.stderr


def show(b, f, results):
    f.put_all(results)
    out = f.path / "page.html"
    done = run("report", f.path, "-o", out)
    assert done.returncode == 0, done
    b.open(out.as_uri())
    return out


def in_browser(b):
    """Matrix, bars and tables are there, and nothing is complained about."""
    with Folder() as f:
        show(b, f, ALL)
        if os.environ.get("PICTURE"):
            b.picture(os.environ["PICTURE"])
        assert b.complaints() == []
        rows = b.script(
            "return [...document.querySelectorAll('.matrix tbody tr')].map("
            "r => [...r.cells].map(c => c.textContent))")
        names = sorted(r["building"] for r in ALL)
        assert [r[0].partition(" ")[2] for r in rows] == names, rows
        at = {(a, b): rows[i][j + 1] for i, a in enumerate(names)
              for j, b in enumerate(names)}
        assert at["Hall 1", "Dormitory"] == "direct", at
        assert at["Hall 1", "Library"] == "relay", at
        assert at["Hall 1", "Lab 2"] == "if column first", at
        assert at["Lab 2", "Hall 1"] == "if row first", at
        assert at["Garden", "Hall 1"] == "unknown", at
        assert at["Cellar", "Dormitory"] == "relay", at
        # A bar is as long as what it stands for, on one scale.
        bars = b.script(
            "return [...document.querySelectorAll('svg')].map(s => ["
            "s.closest('figure').querySelector('h3').textContent,"
            "...[...s.querySelectorAll('rect')].map("
            "r => [r.className.baseVal, r.getBoundingClientRect().width])])")
        long = {name: dict(reversed(of)) for name, *of in bars
                if of and of[0][0] == "alive"}
        ratio = long["Lab 2"]["alive"] / long["Hall 1"]["alive"]
        assert abs(ratio - 118 / 28) < 0.1, bars
        assert "maybe" in long["Library"] and "maybe" not in long["Dormitory"]
        assert any(of and of[0][0] == "trip" for _, *of in bars), bars
        assert len(b.all(".keep")) == 3 * len(long)
        rows = b.script(
            "return [...document.querySelectorAll('.relays tbody tr')].map("
            "r => [...r.cells].map(c => c.textContent))")
        assert rows[0] == ["relay-1", "yes", "4.0 ms", "8.0 ms", "0.5 ms",
                           "1 of 20"], rows
        assert rows[1][1:] == ["no", "not measured", ""], rows
        trip, late = b.script(
            "const late = document.querySelector('.late');"
            "return [late.previousElementSibling, late].map("
            "e => e.getBoundingClientRect().width)")
        assert trip > 0 and abs(trip - late) < 1, (trip, late)


def evil_in_browser(b):
    """Names that would be code are shown as text."""
    r = result(EVIL, ipv4=family())
    r["ipv4"]["servers"][0]["name"] = EVIL
    with Folder() as f:
        show(b, f, [r, {**EIM, "building": "a" * 500}])
        assert b.complaints() == []
        assert b.script("return document.title") == "NATs of 2 buildings"
        assert not b.all("script, img")
        names = b.texts(".matrix tbody th")
        assert any("<script>document.title='hacked'</script>?'\"&amp;<img"
                   in n for n in names), names


def on_paper(b):
    """On A4 nothing is wider than the page, and no page comes for an empty
    line."""
    full = with_path(
        blocked="unknown", udp="no", into=("in-fragments", 1400, 1401),
        tcp=tcp(lives=(1000, 2000)), **router(("yes", "yes", "yes"), "no", 2))
    full.update(building="Physics and Astronomy", proxy=proxy(
        "wants-credentials"))
    many = [{**copy.deepcopy(r), "building": f"{r['building']} {i}"}
            for i in range(4) for r in [*ALL, full]]
    with Folder() as f:
        show(b, f, many)
        b.devtools("Emulation.setEmulatedMedia", media="print")
        # A4 without its margins of 14 mm, in CSS pixels.
        b.size(int((210 - 28) / 25.4 * 96), 1000)
        wide = b.script(
            "const w = document.documentElement.clientWidth;"
            "return [...document.querySelectorAll('body *')].filter("
            "e => e.getBoundingClientRect().right > w + 1).map("
            "e => e.outerHTML.slice(0, 80))")
        assert wide == [], (len(wide), wide[:4])
        data = base64.b64decode(b.devtools(
            "Page.printToPDF", preferCSSPageSize=True)["data"])
        sizes = set(re.findall(rb"/MediaBox \[([^\]]+)\]", data))
        if os.environ.get("PICTURE"):
            pathlib.Path(os.environ["PICTURE"] + ".pdf").write_bytes(data)
        assert len(sizes) == 1, sizes
        size = [float(x) for x in sizes.pop().split()]
        assert abs(size[2] - 595) < 2 and abs(size[3] - 842) < 2, size


TESTS = [predict_words, predict_idle, predict_json, router_facts,
         hostile_files, bad_arguments, report_writes_to, report_leaves_out,
         report_takes_newest, report_wishes, report_path_wishes, report_ways,
         report_way_wishes, report_bad_path, report_requirements,
         report_path_requirements, report_tcp]
IN_BROWSER = [in_browser, evil_in_browser, on_paper]


def main():
    count = failed = 0

    def attempt(test, *arguments):
        nonlocal count, failed
        count += 1
        try:
            test(*arguments)
            print(f"ok {count} - {test.__name__}", flush=True)
        except Exception:
            failed += 1
            print(f"not ok {count} - {test.__name__}", flush=True)
            for line in traceback.format_exc().splitlines():
                print("#", line, flush=True)

    for test in TESTS:
        attempt(test)
    if missing := browser.missing():
        count += 1
        print(f"ok {count} - the page # SKIP needs {' and '.join(missing)}")
    else:
        for test in IN_BROWSER:
            with browser.Browser() as b:
                attempt(test, b)
    print(f"1..{count}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
