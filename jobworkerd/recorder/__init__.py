"""The recorder: moves every job's output from its pipes to its files, and owns the log tree.

Standard library alone. Its main thread has the channel and the clock and touches neither a pipe nor
a disk: a job can hold its own pipe's lock for as long as it likes, and then every call on that pipe
but epoll, fstat and a non-final close hangs in the kernel. So worker threads do all of that, and one
that is held is replaced.
"""
