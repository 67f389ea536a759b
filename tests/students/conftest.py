"""A curriculum of readers, and a tokenizer with few words."""

import pytest

from beliefbench.students.reader.curriculum import Curriculum


@pytest.fixture(scope="session")
def curriculum():
    return Curriculum("posterior", groups=10)


@pytest.fixture(scope="session")
def tokenizer(curriculum):
    return curriculum.tokenizer(domains=100, pieces=1_000)
