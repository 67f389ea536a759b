"""The skill model: how good each agent is on each domain, how sure that is, and whether it goes on learning."""
