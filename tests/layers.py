#!/usr/bin/python3
"""layers: arrows go one way, program -> lib/run -> lib/pure.

usage: tests/layers.py LIBRARY.A...

Checks what each file includes, and what the pure libraries ask of the world:
only names on the list below, so that a socket, file, clock, random number or
log line in lib/pure, or in natcore of tests/natlab, is found here and not by
a reader.
"""

import fnmatch
import pathlib
import re
import subprocess
import sys

PURE_HEADERS = """
assert.h ctype.h endian.h errno.h inttypes.h limits.h math.h stdalign.h
stdarg.h stdatomic.h stdbool.h stddef.h stdint.h stdio.h stdlib.h string.h
strings.h sys/queue.h sodium.h sodium/*.h jansson.h openssl/evp.h openssl/hmac.h
""".split()

# Undefined symbols that lib/pure may have. stdio.h is for snprintf alone.
PURE_SYMBOLS = """
mem* str* __mem*_chk __str*_chk __stpcpy_chk
snprintf vsnprintf __snprintf_chk __vsnprintf_chk strto* __isoc*_strto*
malloc calloc realloc reallocarray aligned_alloc free abort __assert_fail
__ctype_b_loc __ctype_tolower_loc __ctype_toupper_loc tolower toupper
qsort bsearch bcmp log exp floor ceil pow sqrt
__stack_chk_fail _GLOBAL_OFFSET_TABLE_ __errno_location
sodium_mem* sodium_is_zero sodium_increment sodium_compare sodium_add sodium_sub
sodium_bin2* sodium_hex2bin sodium_base642bin sodium_base64_encoded_len
crypto_*
json_* jsonp_*
EVP_blake2s256 EVP_Digest HMAC
""".split()

# ... and of those, the ones that read files, draw random numbers or log.
NOT_PURE_SYMBOLS = """
strerror* memfd_create strftime strptime
crypto_*_keypair crypto_*_keygen crypto_secretstream_*_init_push
json_load_file json_loadf json_loadfd json_dump_file json_dumpf json_dumpfd
json_object_seed
""".split()

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.M)


def matches(name, patterns):
    return any(fnmatch.fnmatchcase(name, p) for p in patterns)


def include_allowed(file, kind, name):
    """True if this file may include this name: by <, a system header, by ",
    one of the project, named from the top (lib/ left out)."""
    folder = "/".join(file.parts[:-1])
    natcore = file.match("tests/natlab/natcore*")
    if kind == "<":
        return not (natcore or folder == "lib/pure") or \
            matches(name, PURE_HEADERS)
    if natcore:
        return name.startswith(("pure/", "tests/natlab/natcore"))
    if folder == "lib/pure":
        return name.startswith("pure/")
    program = "/".join(file.parts[:2 if folder.startswith("probes") else 1])
    own = "run/" if folder == "lib/run" else program + "/"
    return name.startswith(("pure/", "run/", own))


def wrong_includes():
    for folder in ("lib", "relayd", "stund", "coordd", "coordctl", "probes",
                   "tests/natlab"):
        for file in sorted(pathlib.Path(folder).rglob("*.[ch]")):
            text = file.read_text()
            for found in INCLUDE.finditer(text):
                if not include_allowed(file, *found.groups()):
                    line = text.count("\n", 0, found.start(2)) + 1
                    yield f"{file}:{line}: may not include {found[2]}"


def wrong_symbols(libraries):
    def nm(option):
        out = subprocess.run(["nm", "-A", option, *libraries], check=True,
                             capture_output=True, text=True).stdout
        for line in out.splitlines():
            where, _, rest = line.rpartition(":")
            if not rest.strip():  # a line between two libraries
                continue
            yield where.rpartition(":")[2], rest.split()[-1].partition("@")[0]

    own = {symbol for _, symbol in nm("--defined-only")}
    for member, symbol in nm("--undefined-only"):
        if symbol in own:
            continue
        if not matches(symbol, PURE_SYMBOLS) or matches(symbol, NOT_PURE_SYMBOLS):
            yield f"{member} may not use {symbol}"


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    wrong = [*wrong_includes(), *wrong_symbols(sys.argv[1:])]
    for line in wrong:
        print(f"layers: {line}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
