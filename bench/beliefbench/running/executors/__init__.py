"""Where agents are asked: in this process, or by the workers of a Ray cluster."""
