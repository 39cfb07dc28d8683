"""A local provider for development and tests: it speaks as the real ones do, fails on request, and shows a pretend phone.

Nothing here sends anything to anybody. It runs inside a test (`Provider` as a context manager) or as a process of its
own (``chaland provider``).
"""
