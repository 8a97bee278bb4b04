#!/usr/bin/python3
# tests/run: release
"""tests/run: what counts as failed. A runner that misses a failure would make
every other test worthless."""

import importlib.machinery
import importlib.util
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

TOP = pathlib.Path(__file__).resolve().parents[2]
sys.dont_write_bytecode = True
loader = importlib.machinery.SourceFileLoader("run", str(TOP / "tests/run"))
run = importlib.util.module_from_spec(importlib.util.spec_from_loader("run", loader))
loader.exec_module(run)
count = 0


def eq(got, want, what):
    global count
    count += 1
    print(f"{'' if got == want else 'not '}ok {count} - {what}")
    if got != want:
        print(f"# got {got!r}, want {want!r}")


def counts(result):
    return result.passed, result.failed, result.skipped


def tap(text, status=0):
    result = run.Result("")
    run.count_tap(result, status, text)
    return counts(result)


def shell(script, limit=10, variant="release"):
    """The counts of a shell script run as a test, and its result."""
    result = run.Result("")
    status, stdout = run.execute(result, ["sh", "-c", script], limit,
                                 variant=variant)
    if status is not None:
        run.count_tap(result, status, stdout)
    return counts(result), result


def go(*events, status=0):
    result = run.Result("")
    run.count_go(result, status, "".join(json.dumps(e) + "\n" for e in events))
    return counts(result)


def event(action, test=None, **more):
    return {"Action": action, "Package": "p", **({"Test": test} if test else {}),
            **more}


def check_tap():
    eq(tap("ok 1 - a\nok 2 - b\n1..2\n"), (2, 0, 0), "plan at the end")
    eq(tap("1..2\nok\nok # just words\n"), (2, 0, 0), "plan at the start")
    eq(tap("not ok 1 - a\nok 2\n1..2\n", 1), (1, 1, 0), "a failed test")
    eq(tap("ok 1 - a\nok 2 - b # SKIP no IPv6\n1..2\n"), (1, 0, 1), "a skipped test")
    eq(tap("1..0 # SKIP needs root\n"), (0, 0, 1), "a skipped program")
    eq(tap("ok 1\n"), (1, 1, 0), "no plan")
    eq(tap(""), (0, 1, 0), "no output")
    eq(tap("1..3\nok 1\nok 2\n"), (2, 1, 0), "fewer than planned")
    eq(tap("1..1\nok 1\nok 2\n"), (2, 1, 0), "more than planned")
    eq(tap("ok 1\n1..1\n", 3), (1, 1, 0), "all passed, but a bad exit status")
    eq(tap("ok 1\n1..1\n", -11), (1, 1, 0), "all passed, then it crashed")
    eq(tap("ok 1\nBail out! no port\n1..1\n", 0), (1, 1, 0), "bail out")
    eq(tap("okay\nnot okay\n1..0 # skip x\n"), (0, 0, 1), "words that begin like results")


def ended(pid):
    """True once a process is dead; a kill takes a moment."""
    status = pathlib.Path(f"/proc/{pid}/status")
    for _ in range(100):
        try:
            if "zombie" in status.read_text():
                return True
        except OSError:
            return True
        time.sleep(0.05)
    return False


def check_execute():
    good = "echo ok 1; echo 1..1"
    eq(shell(good)[0], (1, 0, 0), "a good program")
    got, result = shell("echo some words >&2; kill -SEGV $$")
    eq(got, (0, 1, 0), "a crash")
    eq("some words" in result.output and "SIGSEGV" in result.notes[0], True,
       "it says what was printed and which signal")
    got, result = shell(f"{good}; sleep 60", limit=1)
    eq((got[1], result.seconds < 10), (1, True), "a hang")
    got, result = shell(f"{good}; sleep 61 & echo $!", limit=10)
    eq((got[1], ended(result.output.split()[-1])), (1, True),
       "a process left behind")
    eq(shell(f'echo found >"${{ASAN_OPTIONS#log_path=}}"; {good}', variant="cov")[0],
       (1, 0, 0), "no sanitizer, no report")
    eq(shell('echo "==1==ERROR: AddressSanitizer" '
             '>"$(echo $ASAN_OPTIONS | sed "s/log_path=//;s/:.*//").1"; ' + good,
             variant="asan")[0], (1, 1, 0), "a sanitizer's report, status 0")
    eq(shell('test -d "$TMPDIR" && echo x >$TMPDIR/y && ' + good)[0], (1, 0, 0),
       "a folder for temporary files")


def check_go():
    eq(go(event("run", "A"), event("pass", "A"), event("pass")), (1, 0, 0), "go: passed")
    eq(go(event("run", "A"), event("run", "A/b"), event("run", "A/c"),
          event("pass", "A/b"), event("skip", "A/c"), event("pass", "A"),
          event("pass")), (1, 0, 1), "go: subtests count, their parent does not")
    eq(go(event("run", "A"), event("run", "A/b"), event("fail", "A/b"),
          event("fail", "A"), event("fail"), status=1), (0, 1, 0), "go: a failed subtest")
    eq(go(event("run", "A"), event("run", "A/b"), event("pass", "A/b"),
          event("fail", "A"), event("fail"), status=1), (1, 1, 0),
       "go: a parent that failed by itself")
    eq(go(event("run", "A"), event("fail"), status=1), (0, 1, 0), "go: did not end")
    eq(go(event("build-output", Output="x"), event("fail"), status=1), (0, 1, 0),
       "go: does not build")
    eq(go(event("run", "A"), event("pass", "A"), event("fail"), status=1), (1, 1, 0),
       "go: all passed, but a bad exit status")
    eq(go(event("pass")), (0, 1, 0), "go: no test ran")


def check_sum():
    def last_line(ci, *results):
        script = (
            "import importlib.machinery as m, importlib.util as u\n"
            f"l = m.SourceFileLoader('run', {str(TOP / 'tests/run')!r})\n"
            "r = u.module_from_spec(u.spec_from_loader('run', l)); l.exec_module(r)\n"
            f"for p, f, s in {results!r}:\n"
            "    x = r.Result('x'); x.passed, x.failed, x.skipped = p, f, s\n"
            "    r.report.add(x)\n"
            "raise SystemExit(r.report.finish())\n")
        env = {k: v for k, v in os.environ.items() if k != "CI"}
        if ci:
            env["CI"] = "true"
        done = subprocess.run([sys.executable, "-B", "-c", script], text=True,
                              env=env, capture_output=True, check=False)
        return done.returncode, done.stdout.splitlines()[-1]

    eq(last_line(False, (3, 0, 0), (2, 0, 0)), (0, "5 passed, 0 failed"), "all passed")
    eq(last_line(False, (3, 1, 0)), (1, "3 passed, 1 failed"), "one failed")
    eq(last_line(False, (3, 0, 1)), (0, "3 passed, 0 failed, 1 skipped"), "a skip")
    eq(last_line(True, (3, 0, 1)), (1, "3 passed, 0 failed, 1 skipped"), "a skip in CI")
    eq(last_line(True, (3, 0, 0)), (0, "3 passed, 0 failed"), "no skip in CI")
    eq(last_line(False), (1, "0 passed, 0 failed"), "nothing ran")


with tempfile.TemporaryDirectory() as folder:
    os.environ["TMPDIR"] = folder
    check_tap()
    check_execute()
    check_go()
    check_sum()
print(f"1..{count}")
