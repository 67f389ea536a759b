"""Teaching language models: what a teacher would say in an interaction, as data to train on."""
