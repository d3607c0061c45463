"""One file a verb: EXAMPLE, add_options(parser), run(session). Options, one call, print."""
