"""From a request to an arm, on record before it is answered."""
