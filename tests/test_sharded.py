"""Steps over shards: those of a trainer, and of any number of workers the same bits."""

import hashlib
import itertools
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from fastmlp.exchange import (
    TOKEN_BYTES,
    SocketExchange,
    accept,
    children_of,
    connect,
    leaves_below,
    listen,
    parent_of,
    receive_into,
)
from fastmlp.local_steps import LocalEpoch
from fastmlp.network import Network
from fastmlp.optimizers import Optimizer
from fastmlp.rows import ArrayRows
from fastmlp.sharded import Alone, Epoch, ShardedEpoch, branches
from fastmlp.trainer import Trainer

SIZES = (60, 40, 80, 100, 20, 60, 80, 40)
N_ROWS, N_LEAVES, BATCH = sum(SIZES), len(SIZES), 120
random = np.random.default_rng(0)
X = random.standard_normal((N_ROWS, 5))
y = np.sin(X[:, :2])
w = random.uniform(0, 2, N_ROWS)
w[: SIZES[0]] = 0  # a shard that weighs nothing
CASES = {
    "plain": {},
    "dropout": {"dropout": 0.3},
    "batch norm": {"batch_norm": True},
    "penalty": {"alpha": 0.3},
    "float32": {"dtype": "float32"},
}


def model(case):
    settings = {"dtype": "float64", **CASES[case]}
    network = Network([5, 8, 2], random_state=1, **settings)
    numbers = {"seed": 7, "learning_rate": 0.01}
    return network, Optimizer("adam", network.params.size, network.dtype, **numbers)


def make_shards(network, weights):
    ends = np.cumsum((0, *SIZES))
    return {
        n: network.as_data(X[a:b], y[a:b], None if weights is None else weights[a:b])
        for n, (a, b) in enumerate(itertools.pairwise(ends))
    }


@pytest.mark.parametrize("chosen", [*range(1, 2**N_LEAVES, 23), 2**N_LEAVES - 1])
def test_branches_hold_the_leaves_once_and_are_of_the_tree(chosen):
    leaves = [leaf for leaf in range(N_LEAVES) if chosen >> leaf & 1]
    found = branches(leaves, N_LEAVES)
    assert [leaf for branch in found for leaf in range(*branch)] == leaves
    for begin, stop in found:
        width = stop - begin
        assert width & (width - 1) == 0
        assert begin % width == 0
    # Neighbours of one size are halves of no common branch.
    for (a, b), (c, d) in itertools.pairwise(found):
        assert b - a != d - c or b != c or a % (2 * (b - a)) != 0


@pytest.mark.parametrize("n_workers", range(1, 18))
def test_every_worker_sends_to_one_that_has_fewer_steps_to_go(n_workers):
    assert [n for n in range(n_workers) if n in children_of(n, n_workers)] == []
    sent = [c for n in range(n_workers) for c in children_of(n, n_workers)]
    assert sorted(sent) == list(range(1, n_workers))
    shards = [(n,) for n in range(n_workers)]
    assert sorted(leaves_below(0, shards)) == list(range(n_workers))

    def depth(n):
        return 0 if n == 0 else 1 + depth(parent_of(n))

    assert max(map(depth, range(n_workers))) <= (n_workers - 1).bit_length()


def test_an_epoch_takes_every_row_once():
    for seed in (None, 3):
        epoch = Epoch(SIZES, BATCH, seed)
        assert epoch.n_steps == 4
        assert epoch.begins(0).tolist() == [0] * N_LEAVES
        assert epoch.begins(4).tolist() == [*SIZES]
        for shard, size in enumerate(SIZES):
            assert sorted(epoch.order(shard)) == list(range(size))
    assert (Epoch(SIZES, BATCH, 3).order(2) != Epoch(SIZES, BATCH, 4).order(2)).any()


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("case", [c for c in CASES if c != "batch norm"])
def test_the_steps_are_those_of_a_trainer_over_the_same_batches(case, weighted):
    weights = w if weighted else None
    network, optimizer = model(case)
    epoch = Epoch(SIZES, BATCH, 5)
    run = ShardedEpoch(
        network, optimizer, epoch, make_shards(network, weights), Alone()
    )
    run.run()
    other, theirs = model(case)
    firsts = np.cumsum((0, *SIZES))
    order = [
        firsts[shard]
        + epoch.order(shard)[epoch.begins(step)[shard] : epoch.begins(step + 1)[shard]]
        for step in range(epoch.n_steps)
        for shard in range(N_LEAVES)
    ]
    rows = ArrayRows(other.as_data(X, y, weights))
    trainer = Trainer(other, theirs, rows, batch_size=BATCH)
    loss = trainer.run_epoch(np.concatenate(order))
    tolerance = 1e-10 if network.dtype == float else 2e-4
    np.testing.assert_allclose(network.params, other.params, rtol=tolerance, atol=1e-6)
    np.testing.assert_allclose(optimizer.slots, theirs.slots, rtol=tolerance, atol=1e-6)
    assert run.loss == pytest.approx(loss, rel=tolerance)
    assert run.gradient_norm == pytest.approx(trainer.gradient_norm, rel=tolerance)
    assert optimizer.n_steps == theirs.n_steps == epoch.n_steps


def run_workers(case, weights, shards, sync_every=1):
    """A hash of all that the first of the workers with those shards ends with."""
    n_workers, token = len(shards), bytes(TOKEN_BYTES)
    servers = [listen("127.0.0.1") for _ in shards]
    epoch = Epoch(SIZES, BATCH, 5, sync_every=sync_every)
    kind = ShardedEpoch if sync_every == 1 else LocalEpoch

    def work(number):
        parent, children = None, children_of(number, n_workers)
        if number:
            place = servers[parent_of(number)].getsockname()
            parent = connect(place, token, number)
        peers = accept(servers[number], token, children)
        exchange = SocketExchange(number, shards, parent, peers)
        network, optimizer = exchange.begin(None if number else model(case))
        everything = make_shards(network, weights)
        mine = {shard: everything[shard] for shard in shards[number]}
        run = kind(network, optimizer, epoch, mine, exchange)
        for _ in run.steps():
            pass
        exchange.close()
        return network, optimizer, run

    with ThreadPoolExecutor(n_workers) as pool:
        done = list(pool.map(work, range(n_workers)))
    for server in servers:
        server.close()
    network, optimizer, run = done[0]
    for other, theirs, _ in done:
        np.testing.assert_array_equal(network.params, other.params)
        assert theirs.n_steps == optimizer.n_steps
    digest = hashlib.sha256()
    for part in network.params, network.stats, optimizer.slots, np.float64(run.loss):
        digest.update(part.tobytes())
    assert optimizer.n_steps == epoch.n_steps
    return digest.hexdigest()


def in_turn(n_workers):
    """Neighbouring shards go to the same worker."""
    firsts = [N_LEAVES * i // n_workers for i in range(n_workers + 1)]
    return [tuple(range(*ends)) for ends in itertools.pairwise(firsts)]


TEAMS = [*map(in_turn, (1, 2, 3, 5, 8)), [(1, 6), (0, 2, 7), (3, 4, 5)]]


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_any_number_of_workers_gives_the_same_bits(case, weighted):
    weights = w if weighted else None
    if weighted and case == "batch norm":
        weights = w + 0.1
    assert len({run_workers(case, weights, team) for team in TEAMS}) == 1


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_local_steps_give_the_same_bits_for_any_number_of_workers(case, weighted):
    weights = w if weighted else None
    if weighted and case == "batch norm":
        weights = w + 0.1
    assert len({run_workers(case, weights, team, 3) for team in TEAMS}) == 1


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("case", ["penalty", "batch norm"])
def test_local_steps_are_averaged_by_what_their_rows_weigh(case, weighted):
    """Four steps, three and one, against networks that take them apart."""
    weights = w + 0.1 if weighted else np.ones(N_ROWS)
    network, optimizer = model(case)
    shards = make_shards(network, weights)
    epoch = Epoch(SIZES, BATCH, 5, sync_every=3)
    twins = {n: (network.copy(), optimizer.copy()) for n in shards}
    for steps in (range(3), range(3, 4)):
        counts = dict.fromkeys(shards, 0.0)
        for n, (twin, theirs) in twins.items():
            for step in steps:
                begins, ends = epoch.begins(step), epoch.begins(step + 1)
                rows = epoch.order(n)[begins[n] : ends[n]]
                batch = twin.accumulate(
                    *(part[rows] for part in shards[n]), optimizer=theirs
                )
                # The penalty is that of the whole batch.
                batch.total_weight *= (ends - begins).sum() / len(rows)
                theirs.apply(twin, batch, batch_size=-(-SIZES[n] // 4))
                counts[n] += shards[n][2][rows].sum()
        for part in ("params", "stats"):
            ends = [getattr(twin, part) for twin, _ in twins.values()]
            mean = np.average(ends, axis=0, weights=[*counts.values()])
            for twin, _ in twins.values():
                getattr(twin, part)[:] = mean
        slots = [theirs.slots for _, theirs in twins.values()]
        mean = np.average(slots, axis=0, weights=[*counts.values()])
        for _, theirs in twins.values():
            theirs.slots[:] = mean
    run = LocalEpoch(network, optimizer, epoch, shards, Alone())
    assert [*run.steps()] == [2, 3]
    twin, theirs = twins[0]
    for mine, other in (
        (network.params, twin.params),
        (network.stats, twin.stats),
        (optimizer.slots, theirs.slots),
    ):
        np.testing.assert_allclose(mine, other, rtol=1e-9, atol=1e-12)
    assert optimizer.n_steps == theirs.n_steps == 4
    assert run.n_rows_done == N_ROWS


def test_a_single_shard_by_itself_takes_a_trainer_s_steps():
    settings = {"alpha": 0.3, "dtype": "float64"}
    network, other = (Network([5, 8, 2], random_state=1, **settings) for _ in "ab")
    mine, theirs = (Optimizer("adam", network.params.size, float) for _ in "ab")
    data, epoch = network.as_data(X, y, None), Epoch((N_ROWS,), BATCH, 5, sync_every=2)
    run = LocalEpoch(network, mine, epoch, {0: data}, Alone())
    assert [*run.steps()] == [1, 3]
    trainer = Trainer(other, theirs, ArrayRows(data), batch_size=BATCH)
    assert run.loss == pytest.approx(trainer.run_epoch(epoch.order(0)), rel=1e-9)
    np.testing.assert_allclose(network.params, other.params, rtol=1e-9, atol=1e-12)
    assert run.gradient_norm == pytest.approx(trainer.gradient_norm, rel=1e-9)


def test_numbers_that_change_from_step_to_step_are_those_of_a_trainer():
    network, optimizer = model("plain")
    epoch = Epoch(SIZES, BATCH)
    np.testing.assert_allclose(epoch.shares_over(), [0, 0.25, 0.5, 0.75])
    numbers = optimizer.schedule(4, learning_rate=[0.1, 0.0, 0.02, 0.3])
    shards = make_shards(network, None)
    run = ShardedEpoch(
        network, optimizer, epoch._replace(schedule=numbers), shards, Alone()
    )
    other, theirs = model("plain")
    for step, _ in enumerate(run.steps()):
        begins, ends = epoch.begins(step), epoch.begins(step + 1)
        batch = [
            tuple(part[a:b] for part in shards[n][:2])
            for n, (a, b) in enumerate(zip(begins, ends, strict=True))
        ]
        theirs.learning_rate = numbers["learning_rate"][step]
        gradient = other.accumulate(
            *map(np.concatenate, zip(*batch, strict=True)), optimizer=theirs
        )
        theirs.apply(other, gradient)
        np.testing.assert_allclose(network.params, other.params, rtol=1e-10, atol=1e-9)


def test_the_loss_of_steps_of_unequal_size_is_the_mean_over_rows():
    network, optimizer = model("plain")
    optimizer.learning_rate = 0.0
    data = network.as_data(X[:7], y[:7], None)
    shards = {0: (data[0][:5], data[1][:5], None), 1: (data[0][5:], data[1][5:], None)}
    run = ShardedEpoch(network, optimizer, Epoch((5, 2), 4), shards, Alone())
    done = [0, *(run.n_rows_done for _ in run.steps())]
    assert np.diff(done).tolist() == [3, 4]
    assert run.loss == pytest.approx(network.loss(X[:7], y[:7]), rel=1e-12)


def test_a_batch_without_weight_takes_no_step():
    network, optimizer = model("plain")
    before = network.params.copy()
    shards = make_shards(network, np.zeros(N_ROWS))
    run = ShardedEpoch(network, optimizer, Epoch(SIZES, BATCH, 5), shards, Alone())
    run.run()
    np.testing.assert_array_equal(network.params, before)
    assert run.loss == 0


# -- sockets


def test_only_the_round_s_token_is_let_in():
    token, server = b"t" * TOKEN_BYTES, listen("127.0.0.1")
    place = server.getsockname()
    strangers = [
        connect(place, b"x" * TOKEN_BYTES, 1),
        connect(place, token, 9),  # of no worker
    ]
    friend = connect(place, token, 1)
    with server, friend:
        (peer,) = accept(server, token, [1])
        assert peer.getpeername() == friend.getsockname()
        peer.close()
    for stranger in strangers:
        with pytest.raises(OSError, match=r"gone|reset"):
            receive_into(stranger, bytearray(1))
        stranger.close()


def test_strangers_that_say_nothing_or_leave_do_not_end_the_round():
    token, server = b"t" * TOKEN_BYTES, listen("127.0.0.1")
    place = server.getsockname()
    socket.create_connection(place).close()
    friend = connect(place, token, 1)
    with server, friend:
        (peer,) = accept(server, token, [1])
        peer.close()


def test_a_peer_that_goes_is_noticed_at_once():
    mine, other = socket.socketpair()
    timer = threading.Timer(0.05, other.close)
    timer.start()
    with mine, pytest.raises(ConnectionError, match="gone"):
        receive_into(mine, bytearray(10))
    timer.join()


def test_nobody_waits_without_a_deadline(monkeypatch):
    monkeypatch.setattr("fastmlp.exchange.DEADLINE", 0.05)
    with listen("127.0.0.1") as server, pytest.raises(TimeoutError):
        accept(server, bytes(TOKEN_BYTES), [1])
