"""How many hosts, how much storage, how much money: constants measured here, and what they come to at a rate."""
