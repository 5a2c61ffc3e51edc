"""VW's decision-service JSON, in and out."""
