"""The whole call, written once for the sync and the async client."""
