#!/usr/bin/python3
# tests/run: one-thread
"""natprobe_replay_test: natprobe -replay of captures in every form, of files
that are none, and of captures in which nothing of natprobe is. The packets are
those of a run behind a Linux gateway, from the fuzzer's corpus. Capturing needs
root, and is tests/natlab/capture_test.py. Prints TAP.
"""

import json
import os
import pathlib
import secrets
import struct
import subprocess
import sys
import tempfile

import taprun

TOP = pathlib.Path(__file__).resolve().parent.parent.parent
NATPROBE = os.environ.get("NATPROBE", str(TOP / "build/release/natprobe"))
CORPUS = TOP / "tests/fuzz/corpus"
LIMIT = 60.0
BEGIN = 1_700_000_000
COOKED2, ETHERNET, RAW, WIFI = 276, 1, 101, 105


# ---- captures ----

def frames():
    """(time in ms, frame in cooked mode 2): tests/fuzz/replay_fuzz.c."""
    data, at, now = (CORPUS / "replay/icmp").read_bytes(), 1, 0
    while at < len(data):
        ms, size = struct.unpack_from(">HH", data, at)
        now += ms
        yield now, data[at + 4:at + 4 + size]
        at += 4 + size


def pcap(packets, link=COOKED2, order="<", nano=False, snaplen=65535):
    """A file in the classic form."""
    out = struct.pack(order + "IHHiIII", 0xA1B23C4D if nano else 0xA1B2C3D4,
                      2, 4, 0, 0, snaplen, link)
    for ms, frame in packets:
        part = ms % 1000 * (1_000_000 if nano else 1000)
        out += struct.pack(order + "IIII", BEGIN + ms // 1000, part,
                           len(frame[:snaplen]), len(frame))
        out += frame[:snaplen]
    return out


def ip(packets, head=b""):
    return [(ms, head + frame[20:]) for ms, frame in packets]


def stun(packets, change):
    """With other transaction ids: of another program."""
    return [(ms, frame[:56] + change + frame[68:]) if len(frame) > 68
            else (ms, frame) for ms, frame in packets]


def replay(content, *flags):
    """content: of the file, or its path."""
    with tempfile.TemporaryDirectory() as folder:
        path = content
        if isinstance(content, bytes):
            path = os.path.join(folder, "capture")
            with open(path, "wb") as f:
                f.write(content)
        return subprocess.run([NATPROBE, "-replay", path, *flags],
                              capture_output=True, text=True, timeout=LIMIT)


def result(content, *flags):
    done = replay(content, "-quiet", "-json", "-", *flags)
    assert done.returncode in (0, 1, 3, 4), done
    assert not done.stderr, done.stderr
    return json.loads(done.stdout)


def refused(content, *words, flags=()):
    done = replay(content, *flags)
    assert done.returncode == 2 and not done.stdout, done
    assert done.stderr.startswith("natprobe: ") and \
        done.stderr.count("\n") == 1, done.stderr
    for word in words:
        assert word in done.stderr, (word, done.stderr)


# ---- the tests ----

def check_forms(forms):
    """All say the same. The last answers may still be on their way."""
    said = []
    for form in forms:
        one = result(form)
        family = one["ipv4"]
        assert family["mapping"]["verdict"] == "endpoint-independent", one
        assert family["filtering"]["verdict"] == "unknown", one
        assert one["time"].startswith("2023-11-14T22:13:2"), one["time"]
        assert not one["complete"] and one["replay"]["why"] == "no-end", one
        assert one["replay"]["others"] == 0 and \
            one["replay"]["packets"] == len(list(frames())), one["replay"]
        said.append(family)
    assert all(s == said[0] for s in said)


def test_captures_of_every_form():
    """By another program, too: without a note."""
    p = list(frames())
    vlan = bytes(12) + b"\x81\x00\x00\x07\x08\x00"
    check_forms([pcap(p), pcap(p, order=">"), pcap(p, nano=True),
                 pcap(ip(p), RAW), pcap(ip(p, bytes(12) + b"\x08\x00"), ETHERNET),
                 pcap(ip(p, vlan), ETHERNET)])


def test_a_capture_that_goes_on():
    """Another program's: what had not come when it ended did not come."""
    p = list(frames())
    said = result(pcap([*p, (p[-1][0] + 5000, bytes(60))]))
    assert said["ipv4"]["filtering"]["verdict"] == \
        "address-and-port-dependent", said
    assert said["replay"]["others"] == 1 and not said["complete"], said


def test_copies_count_once():
    """A bridge and its port: each packet is seen twice."""
    twice = []
    for ms, frame in frames():
        twice += [(ms, frame), (ms, frame[:4] + b"\0\0\0\x63" + frame[8:])]
    one, two = result(pcap(frames())), result(pcap(twice))
    assert one["ipv4"] == two["ipv4"]
    assert two["replay"]["others"] == one["replay"]["packets"]


def test_a_note_tells_more():
    said = result(str(CORPUS / "pcapng/icmp"))
    assert said["replay"]["whole"] and said["complete"], said
    assert said["ipv4"]["servers"][1]["name"] == "203.0.113.10:9", said
    assert said["time"] > "2026", said
    said = result(str(CORPUS / "pcapng/icmp"), "-building", "lab")
    assert said["building"] == "lab"


def test_dropped_packets_are_told():
    whole = (CORPUS / "pcapng/icmp").read_bytes()
    lossy = whole.replace(b'"dropped":0', b'"dropped":7')
    assert lossy != whole
    assert result(lossy)["replay"]["dropped"] == 7
    assert "7 packets came when the kernel had no room" in \
        replay(lossy).stdout


def test_words_for_people():
    done = replay(pcap(frames()))
    assert "replayed\n" in done.stdout and "not whole" in done.stdout and \
        "no-end" in done.stdout, done.stdout


def test_out_of_order_and_zero_times():
    for times in (lambda i: 0, lambda i: -i, lambda i: i * 7 % 1000):
        moved = [(times(i) + 5000, frame)
                 for i, (_, frame) in enumerate(frames())]
        assert result(pcap(moved))["ipv4"]["udp"] == "yes"


def test_cut_packets():
    """A snapshot length that leaves headers alone."""
    refused(pcap(frames(), snaplen=60), "none of its", "natprobe")


def test_what_is_no_capture():
    refused(b"", "no capture", "capture")
    refused(b"natprobe\n" * 100, "no capture")
    refused(b"\x0a\x0d\x0d\x0a" * 50, "no capture")
    refused("/nowhere/capture", "/nowhere/capture", "No such file")
    refused("/", "is no file")
    refused("/dev/zero", "is no file")
    refused(pcap([]), "none of its 0 packets")


def test_a_pipe_does_not_hang():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "pipe")
        os.mkfifo(path)
        refused(path, "is no file")


def test_what_is_not_of_natprobe():
    p = list(frames())
    refused(pcap([(ms, secrets.token_bytes(90)) for ms, _ in p]), "none of its")
    refused(pcap(stun(p, bytes(12))), "none of its")
    refused(pcap(p[60:]), "none of its", "first question of natprobe")
    refused(pcap(p, WIFI), "link type 105", "want Ethernet")


def test_flags_that_have_no_place():
    for flags in (["-stun", "127.0.0.1"], ["-relay", "https://127.0.0.1"],
                  ["-map", "/nowhere"], ["-capture", "/nowhere"]):
        refused(pcap(frames()), flags[0], "-replay", flags=flags)


def test_a_capture_that_cannot_be():
    """With privilege the file is at fault, without it the privilege."""
    done = subprocess.run([NATPROBE, "-stun", "127.0.0.1", "-capture",
                           "/nowhere/capture"], capture_output=True, text=True,
                          timeout=LIMIT)
    assert done.returncode == 2 and not done.stdout, done
    assert done.stderr.startswith("natprobe: capture: ") and \
        done.stderr.count("\n") == 1, done.stderr


def test_dry_run_opens_nothing():
    done = subprocess.run([NATPROBE, "-stun", "127.0.0.1", "-capture",
                           "/nowhere/capture", "-n"], capture_output=True,
                          text=True, timeout=LIMIT)
    assert done.returncode == 0 and "/nowhere/capture" in done.stdout, done


def test_another_client_among_them():
    """Packets of another program change nothing."""
    p = list(frames())
    mixed = sorted(p + [(ms, frame[:40] + secrets.token_bytes(2) + frame[42:])
                        for ms, frame in stun(p, secrets.token_bytes(12))],
                   key=lambda packet: packet[0])
    one, two = result(pcap(p)), result(pcap(mixed))
    assert one["ipv4"] == two["ipv4"], (one["ipv4"], two["ipv4"])


if __name__ == "__main__":
    sys.exit(taprun.main([test for name, test in list(globals().items())
                          if name.startswith("test_")]))
