"""The built-in agents, one file each; they know of ``beliefbench`` only."""
