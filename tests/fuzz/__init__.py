"""Random input for each parser of foreign bytes."""
