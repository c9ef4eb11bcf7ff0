"""Saves and fits that are killed, disks that are full, files that are damaged.

Each is a command, which ends with an error where something was lost, and prints how
many there were::

    python tests/saving.py kill [2000]   # a process that saves, at random moments
    python tests/saving.py fit [100]     # a fit, which goes on until it is through
    python tests/saving.py room [1]      # no room behind any byte, or every n-th
    python tests/saving.py damage [1]    # of every byte, or every n-th; and all lengths

A folder is made and cleared for it.
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
from fastmlp.model_files import ModelFileError, from_bytes, load, replace_file


def networks():
    return [Network([20, 30, 3], random_state=seed) for seed in (0, 1)]


def contents(path):
    """The two networks' files."""
    for network in networks():
        network.save(path)
        yield path.read_bytes()


def save_for_ever(path, files, begun):
    """The part of a save that touches the disk, over and over."""
    os.write(begun, b"!")
    while True:
        for content in files:
            replace_file(path, content)


def kill_saves(path, n_kills):
    """Kill a process that saves, at random moments; the file is one of the two, and
    the next save removes what was left beside it."""
    known = {network.params.tobytes() for network in networks()}
    files = list(contents(path))
    n_left, (told, begun) = 0, os.pipe()
    for seed in range(n_kills):
        child = os.fork()
        if child == 0:
            save_for_ever(path, files, begun)
        os.read(told, 1)
        time.sleep(random.Random(seed).uniform(0, 0.01))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        assert load(path).params.tobytes() in known
        left = left_beside(path)
        assert len(left) <= 1
        n_left += len(left)
    networks()[0].save(path)
    assert not left_beside(path)
    print(f"{n_kills} saves were killed, {n_left} of them left a .tmp that is gone")


def left_beside(path):
    return list(path.parent.glob(".*.tmp"))


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
    print(f"{n_refused} saves had no room in {size} bytes, none changed the old file")


def damage(path, step):
    """Every n-th byte as three others, and every length: each must be refused."""
    n_refused = 0
    for kind in (save_network, save_estimator, save_checkpoint):
        kind(path)
        data = path.read_bytes()
        draw = random.Random(0)
        for place in range(0, len(data), step):
            others = draw.sample(range(1, 256), 3)
            for flip in others:
                twin = bytearray(data)
                twin[place] ^= flip
                n_refused += is_refused(bytes(twin))
            n_refused += is_refused(data[:place])
        path.write_bytes(data[: len(data) // 2])
        try:
            load(path)
        except ModelFileError:
            n_refused += 1
    print(f"{n_refused} damaged files, each a ModelFileError")


def is_refused(content):
    """1; another error, or none, ends the run."""
    try:
        from_bytes(content)
    except ModelFileError:
        return 1
    raise AssertionError("damage was not seen")


def save_network(path):
    Network([2, 3, 1], random_state=0).save(path)


def save_estimator(path):
    fitted_to_iris().save(path)


def save_checkpoint(path):
    fitted_to_iris(callbacks=[Checkpoint(path)])


def fitted_to_iris(**settings):
    warnings.simplefilter("ignore")
    model = MLPClassifier((4,), max_iter=2, random_state=0, **settings)
    return model.fit(*load_iris(return_X_y=True))


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
    print(f"{n_fits} fits were killed {n_kills} times, and ended at the same bits")


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
        modes = {
            "kill": (kill_saves, 2000),
            "fit": (kill_fits, 100),
            "room": (fill_disk, 1),
            "damage": (damage, 1),
        }
        work, *numbers = modes[sys.argv[1]]
        work(Path(folder, "file.safetensors"), int([*numbers, *sys.argv[2:]][-1]))
