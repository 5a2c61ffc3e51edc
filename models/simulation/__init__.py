"""Problems of known truth: how fast policies learn, and how often the gate is wrong."""
