"""Saves that are killed, or have no room: run as ``python saving.py kill|room N``.

A folder is made and cleared for it; what is printed is how many saves there were.
"""

import os
import random
import resource
import signal
import sys
import tempfile
import time
from pathlib import Path

from fastmlp import Network
from fastmlp.model_files import load


def networks():
    return [Network([20, 30, 3], random_state=seed) for seed in (0, 1)]


def save_for_ever(path):
    while True:
        for network in networks():
            network.save(path)


def kill_saves(path, n_kills):
    """Kill a process that saves, at random moments; the file is one of the two."""
    known = {network.params.tobytes() for network in networks()}
    networks()[0].save(path)
    n_left = 0
    for seed in range(n_kills):
        child = os.fork()
        if child == 0:
            save_for_ever(path)
        time.sleep(random.Random(seed).uniform(0, 0.01))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        assert load(path).params.tobytes() in known
        for left in path.parent.glob(".*.tmp"):
            n_left += 1
            left.unlink()
    print(n_kills, n_left)


def fill_disk(path, step):
    """Save where only so many bytes of a file can be written, of every number."""
    old, new = networks()
    old.save(path)
    size, n_refused = path.stat().st_size, 0
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    for n_bytes in range(0, size, step):
        resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, hard))
        try:
            new.save(path)
        except OSError:
            n_refused += 1
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        assert load(path).params.tobytes() == old.params.tobytes()
        assert [p.name for p in path.parent.iterdir()] == [path.name]
    assert n_refused == len(range(0, size, step))
    print(n_refused, 0)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        work = {"kill": kill_saves, "room": fill_disk}[sys.argv[1]]
        work(Path(folder, "network.safetensors"), int(sys.argv[2]))
