"""How often the gate sees a lift, and how often one that is not there: thousands of logs of known truth, drawn fast."""
