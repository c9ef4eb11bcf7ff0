"""The mutations still apply; ``python -m tests.mutations`` runs them."""

from mutations import find_faults, read_table


def test_every_mutation_applies():
    mutations = read_table()
    assert len(mutations) >= 40
    assert find_faults(mutations) == []
