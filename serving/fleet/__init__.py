"""Many hosts that learn as one: rewards find their decision, and every host decides with what all have learnt."""
