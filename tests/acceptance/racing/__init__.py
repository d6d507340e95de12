"""Processes that all tick at once, by a clock that runs ahead, and what is examined after them."""
