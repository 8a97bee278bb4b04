"""shiftclock: programs under test whose clocks the test moves, by a library
that is preloaded into them (shiftclock.c).
"""

import atexit
import functools
import mmap
import os
import pathlib
import struct
import subprocess
import tempfile

SOURCE = pathlib.Path(__file__).with_suffix(".c")


@functools.cache
def library():
    """Compiles it, once."""
    folder = tempfile.TemporaryDirectory()
    atexit.register(folder.cleanup)
    path = os.path.join(folder.name, "shiftclock.so")
    subprocess.run(["cc", "-std=c11", "-D_GNU_SOURCE", "-O1", "-shared",
                    "-fPIC", "-o", path, SOURCE], check=True)
    os.chmod(folder.name, 0o755)
    return path


class Clocks:
    """What a program started with `env` believes to be the time."""

    def __init__(self):
        self.wall = self.mono = 0
        self.file = tempfile.NamedTemporaryFile()
        self.file.write(bytes(16))
        self.file.flush()
        self.map = mmap.mmap(self.file.fileno(), 16)
        self.env = {**os.environ, "LD_PRELOAD": library(),
                    "SHIFTCLOCK": self.file.name}

    def move(self, wall=0, mono=0):
        """By seconds."""
        self.wall += wall
        self.mono += mono
        self.map[:] = struct.pack("=qq", self.wall, self.mono)

    def later(self, seconds):
        """As if so much time had passed."""
        self.move(seconds, seconds)

    def close(self):
        self.map.close()
        self.file.close()
