"""The boundaries between the three processes, as data. Imports the standard library alone."""
