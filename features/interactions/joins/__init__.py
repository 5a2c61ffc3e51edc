"""The join of hours: of neighbours in memory, and of one big hour shard by shard, which are merged on disk."""
