"""The network process: gRPC under mutual TLS, the job table, the policy. Unprivileged and restartable.

It may crash at any moment: what matters is committed before it is answered, and the runner holds what
is not yet acknowledged. It reads output files and cannot write them.
"""
