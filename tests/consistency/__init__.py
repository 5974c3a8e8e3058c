"""The proof that no update is lost, torn, doubled or invented, whatever is killed meanwhile.

Traffic runs against real servers and is recorded; faults are injected; then the checker holds the
recording against the history that the database kept. After Jepsen (Kyle Kingsbury) and etcd's
tests/robustness. `python -m tests.consistency.torture` is the long form.
"""
