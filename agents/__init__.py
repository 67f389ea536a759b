"""The built-in agents, one file each; they import only ``beliefbench``."""
