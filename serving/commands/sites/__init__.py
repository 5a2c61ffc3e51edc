"""`croupier site …`: heads of sites that share no rows."""
