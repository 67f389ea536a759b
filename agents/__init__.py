"""The built-in agents, one file each; they know of ``bench`` only."""
