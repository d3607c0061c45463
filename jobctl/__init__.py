"""``jobctl``: the client. One connection, one call a verb; of the worker's code it imports the stubs alone."""

__version__ = "0.1.0"
