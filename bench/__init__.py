"""``make bench``: what jobworker costs, each figure beside a baseline taken in turns with it.

Two runs of one machine differ by more than a change is worth, so nothing here passes or fails by time:
a ratio of two things done side by side is what a target is for. Only a wrong answer is an error.
"""
