"""The worker: three processes in rings that do not leak.

``jobworkerd`` (``__main__``) becomes the *runner*, which execs the *recorder* and the *API* as fresh
interpreters. Who may import whom:

==================  =====================================================================
package             may import, of ours
==================  =====================================================================
``runner``          ``channel``, ``config``, ``rules``, ``journal``
``recorder``        ``channel``, ``config``, ``journal``
``api``             ``channel``, ``config``, ``rules``, ``journal``, ``v1``
``jobctl``          ``jobworkerd.v1`` alone
``pki``             ``config``
==================  =====================================================================

The runner, the recorder, the API and jobctl never import one another; what they share crosses a
channel or the wire. A test holds this table.
"""

__version__ = "0.1.0"
