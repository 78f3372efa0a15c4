"""
hfasr inside other libraries' pipelines: `hfasr.integrations.datasets` and `hfasr.integrations.ray`.

Neither imports the library that it is for: both work on the batches that the library hands out.
"""
