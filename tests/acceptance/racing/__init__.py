"""Processes that all tick at once by a fast clock, and the examination of their results."""
