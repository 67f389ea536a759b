"""The paper's plot of accuracy against the information gain of the rounds (paper, section 7), as a table.

Run it with ``python examples/informativeness.py [DOMAIN]``. It takes about two minutes on 2 cores.
"""

from argparse import ArgumentParser

import beliefbench as bb

parser = ArgumentParser(description="Accuracy of the exact answer against the information gain of the rounds.")
parser.add_argument("domain", nargs="?", default="flights", help="a domain's name; flights if left out")
name = parser.parse_args().domain
print(f"{name}: aimed at, reached (nats a round), accuracy of the exact answer after the last round (%)")
for aim in (None, 0.2, 0.4, 0.6, 0.8, 1.0):
    domain = bb.load_domain(name if aim is None else f"{name},information={aim}")
    episodes = bb.Episodes(domain, bb.Protocol.of(domain))
    accuracy = (episodes.exact[:, -1].argmax(axis=-1) == episodes.truth).mean()
    told = bb.information_gain(episodes).mean()
    print(f"{'random' if aim is None else aim:>6}  {told:.3f}  {100 * accuracy:.1f}", flush=True)
