"""Arms that are prices: demand is learnt, and profit is what a policy chooses by."""
