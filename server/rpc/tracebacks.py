"""Errors that do not hold what they came through."""


def without_frames(error: BaseException) -> BaseException:
    """The error, and those before it, without their tracebacks.

    To be used where nobody will look at them any more. grpc keeps the error that a call ends with
    at the call, a task the one that it ends with, and the frames of a traceback know both: circles,
    which last until Python looks for them, with the request and its stream in them.
    """
    known: set[BaseException] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        each = waiting.pop()
        if each is not None and each not in known:
            known.add(each)
            waiting += (each.__context__, each.__cause__)
            each.__traceback__ = None
    return error
