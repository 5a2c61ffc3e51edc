"""Health: is the bandit well, how sure are we, and what is to be done. Pure statistics over hourly figures."""
