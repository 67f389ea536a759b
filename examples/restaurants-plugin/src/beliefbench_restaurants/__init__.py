"""A domain and an agent for beliefbench."""
