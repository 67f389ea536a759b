"""The skill model: the accuracy of each agent on each domain with its uncertainty, and whether the agent keeps
learning."""
