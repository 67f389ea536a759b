"""The built-in domains, one file each; they know of ``beliefbench`` only."""
