"""The built-in domains, one file each; they import only ``beliefbench``."""
