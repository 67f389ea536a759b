"""`posterior-reader`, asked with the options of a question in each of their 6 orders: the mean of its answers.

beliefbench run --plugins examples/every-order --domain webshop-running-shoes --users 200 --heldout 10 \
    --agent bayesian --agent posterior-reader --agent every-order

For a comparison in docs/students.md, "Transfer".
"""

from dataclasses import replace
from itertools import permutations

import numpy as np

from beliefbench import load_agent


class EveryOrder:
    """The posterior-reader, whose answer does not depend on the order of the options."""

    version = "1"

    def __init__(self, domain):
        self.name = "every-order"
        self.reader = load_agent("posterior-reader", domain)
        self.probabilistic, self.privileged = True, False
        self.users_per_call = self.reader.users_per_call
        self.note = "posterior-reader, the mean over the orders of the options"

    def identity(self):
        return {"reader": dict(self.reader.identity())}

    def begin(self, brief, keys, truth=None):
        return self.reader.begin(brief, keys, truth)

    def predict(self, state, options):
        orders = [list(order) for order in permutations(range(options.shape[2]))]
        answers = [self.reader.predict(state, options[:, :, order]) for order in orders]
        # Back in the order that was asked for: argsort is the inverse of a permutation.
        probs = np.mean([one.probs[..., np.argsort(order)] for one, order in zip(answers, orders, strict=True)], axis=0)
        tokens = np.sum([one.tokens for one in answers], axis=0)
        return replace(answers[0], choice=state.likeliest(probs), probs=probs, tokens=tokens)

    def observe(self, state, options, recommended, chosen):
        return self.reader.observe(state, options, recommended, chosen)


AGENTS = {"every-order": EveryOrder}
