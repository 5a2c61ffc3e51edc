"""Numbers about an interval as a whole, added up part by part: nothing here holds its rows."""
