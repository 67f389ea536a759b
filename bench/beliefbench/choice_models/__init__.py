"""How people choose: linear preferences, shopping, choice rules, and the catalogues that a shop sells."""
