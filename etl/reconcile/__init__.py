"""Compare source and target row by row and rule by rule; repair."""
