"""What ``beliefbench check`` does: contracts and cross-checks."""
