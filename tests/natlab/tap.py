"""tap: TAP for the laboratory's own tests, from several threads."""


import sys
import threading
import traceback

count = failed = 0
lock = threading.RLock()


def ok(good, what, why=""):
    global count, failed
    with lock:
        count += 1
        failed += not good
        print(f"{'' if good else 'not '}ok {count} - {what}")
        if not good and why:
            print("".join(f"# {line}\n" for line in str(why).splitlines()),
                  end="")
        sys.stdout.flush()
    return bool(good)


def eq(got, want, what):
    return ok(got == want, what, f"got {got!r}, want {want!r}")


def skip(what, why):
    global count
    with lock:
        count += 1
        print(f"ok {count} - {what} # SKIP {why}", flush=True)


def attempt(what, function, *arguments):
    """A case that must not end the others: an exception fails it."""
    try:
        function(*arguments)
    except Exception:
        ok(False, what, traceback.format_exc())


def in_threads(cases, workers):
    """Runs cases, each a function of a worker, by whichever is free."""
    cases = iter(list(cases))

    def work(worker):
        while True:
            with lock:
                case = next(cases, None)
            if case is None:
                return
            attempt(getattr(case, "what", "a case"), case, worker)

    threads = [threading.Thread(target=work, args=(w,)) for w in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def done():
    print(f"1..{count}", flush=True)
    return 1 if failed else 0
