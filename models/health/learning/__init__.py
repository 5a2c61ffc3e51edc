"""How well is learnt: predictions of the reward against what came, the posterior's condition, what features tell."""
