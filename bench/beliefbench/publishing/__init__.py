"""Publishing runs: packing them with evidence, and verifying them."""
