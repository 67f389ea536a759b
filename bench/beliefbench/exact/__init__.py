"""Exact inference by enumeration: the posterior over a domain's hypotheses and the posterior predictive."""
