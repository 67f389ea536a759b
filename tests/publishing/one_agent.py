"""A plugin file with one agent."""

from beliefbench.agents.first import First

AGENTS = {"one": First}
