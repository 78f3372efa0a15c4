"""The hosted side's wire dialects: the only place that knows a server's JSON."""
