"""The embedding model, offline."""

import numpy as np

from mining.judging.embeddings import embed


def test_each_text_becomes_a_unit_vector():
    vectors = embed(["yes", "", "The capital of France is Paris."])
    assert vectors.shape[0] == 3
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1.0)


def test_what_a_long_text_says_at_its_end_counts():
    body = "The committee met again and talked about the roads, the schools and the river. " * 60
    end = "Then everybody learnt how to compile a Solidity contract for the blockchain. " * 60
    plain, with_end = embed([body, body + end])
    assert 1 - plain @ with_end > 0.05
