"""One seam over which work spreads: a function of plain JSON, mapped over jobs here or on the machines of a cluster."""
