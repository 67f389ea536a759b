"""Language models on this machine: their chat template, their weights, and how answers are scored and written."""
