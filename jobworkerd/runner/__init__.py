"""The privileged process: starts jobs, watches them, ends them. One thread, one blocking wait.

Imports the standard library, prctl and sdnotify alone, and all of it before READY=1, so that an
upgrade of the files under a live runner changes nothing. It knows no network and no path of a log.
Never grpc, google.protobuf, ssl, sqlite3 or asyncio: PDEATHSIG is tied to the forking thread, and
those start threads; a test looks into the live process for them.
"""
