"""Who decided, and for whom: a verdict on each role and release that serves now, and on each declared segment."""
