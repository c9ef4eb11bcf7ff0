"""Saves and fits that are killed, saves without room: ``saving.py kill|fit|room N``.

A folder is made and cleared for it; what is printed is how many saves there were.
"""

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

from sklearn.datasets import load_iris

from fastmlp import Checkpoint, MLPClassifier, Network
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
    import resource  # which Windows has not

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


def facts(model):
    """All that training has changed: state, curves and histories, but no times."""
    arrays = model._state.to_arrays()
    found = {k: v.tobytes() for k, v in arrays.items() if "seconds" not in k}
    for name, value in vars(model).items():
        if name.endswith("_") and name not in ("history_", "coefs_", "intercepts_"):
            found[name] = repr(value)
    return found


def kill_fits(path, n_fits):
    """Kill fits at random moments and go on, until they are through."""
    X, y = load_iris(return_X_y=True)
    done, draw, n_kills = path.with_suffix(".done"), random.Random(0), 0

    def go_on():
        model = MLPClassifier(
            *((8,), "relu"),
            max_iter=25,
            n_iter_no_change=1000,
            random_state=0,
            dropout=0.1,
            early_stopping=True,
            n_threads=1,
            callbacks=[Checkpoint(path, keep=2)],
        )
        warnings.simplefilter("ignore")
        model.fit(X, y, resume_from=path if path.exists() else None)
        model.set_params(callbacks=None).save(done)

    go_on()
    expected = facts(load(done))
    for _ in range(n_fits):
        for found in path.parent.iterdir():
            found.unlink()
        while not done.exists():
            child = os.fork()
            if child == 0:
                go_on()
                os._exit(0)
            n_kills += end_soon(child, path, draw.uniform(0, 0.05))
        assert facts(load(done)) == expected
    print(n_fits, n_kills)


def written(path):
    return path.stat().st_mtime_ns if path.exists() else 0


def end_soon(child, path, seconds):
    """Kill it so long after its first checkpoint; 1 if it was not through."""
    before, end = written(path), float("inf")
    while time.monotonic() < end:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            assert status == 0
            return 0
        if end == float("inf") and written(path) != before:
            end = time.monotonic() + seconds
        time.sleep(0.0005)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return 1


def run_saving(*arguments):
    """What a run of this file has counted."""
    command = [sys.executable, __file__, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return int(done.stdout.split()[0])


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        modes = {"kill": kill_saves, "fit": kill_fits, "room": fill_disk}
        work = modes[sys.argv[1]]
        work(Path(folder, "network.safetensors"), int(sys.argv[2]))
