"""The mutations still apply; ``python -m tests.mutations`` runs them."""

from mutations import find_faults, read_mutations


def test_every_mutation_applies():
    mutations = read_mutations()
    assert len(mutations) >= 40
    assert find_faults(mutations) == []
