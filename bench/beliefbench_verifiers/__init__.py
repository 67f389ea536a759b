"""What `vf-eval beliefbench-verifiers` loads: `beliefbench.exchange.verifiers`, under a name that can be found."""

from beliefbench.exchange.verifiers import InteractionEnv, Interactions

__all__ = ["InteractionEnv", "Interactions"]
