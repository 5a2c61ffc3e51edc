"""What a release retrieves arms with: its index, and the shortlist of a request that lists none."""
