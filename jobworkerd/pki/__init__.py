"""``jobworker-pki``: a local CA and the certificates it issues. ECDSA P-256, told apart by extended key usage.

Used at install and by root at a shell; the running worker never imports it.
"""
