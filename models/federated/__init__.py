"""One head of sites whose rows stay where they are: the sums of each are added, with noise where it is asked for."""
