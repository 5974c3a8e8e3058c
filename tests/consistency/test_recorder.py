"""A recording says what happened, also of calls that never came back."""

from pathlib import Path

from tests.consistency.operations import Answer, Kind, Part, Request, Seen, Step, Verdict
from tests.consistency.recorder import NEVER, Recorder, read_recording

UPDATE = Request(
    "1-1",
    client=1,
    kind=Kind.UPDATE,
    parts=(
        Part("a", (Step("total", "increment", 2), Step("passing", "remove")), etag='"etag"'),
        Part("b", (Step("recent", "append", "é", event_time=7, max_length=3),)),
    ),
    request_id="c0ffee",
)
READ = Request("1-2", client=1, kind=Kind.READ, parts=(Part("a"),))
ANSWER = Answer(Verdict.ACKNOWLEDGED, "", (Seen("a", 3, '"etag"', "uid", "digest"),))


def test_what_is_read_is_what_was_recorded(tmp_path: Path) -> None:
    with Recorder(tmp_path / "recording.jsonl") as recorder:
        update, read = recorder.invoke(UPDATE), recorder.invoke(READ)
        recorder.returned(read, ANSWER)
        recorder.returned(update, Answer(Verdict.REFUSED, "CONTENDED"))

    first, second = read_recording(recorder.path)

    assert (first.request, first.answer) == (UPDATE, Answer(Verdict.REFUSED, "CONTENDED"))
    assert (second.request, second.answer) == (READ, ANSWER)
    assert first.invoked < second.invoked < second.returned < first.returned


def test_a_call_that_did_not_come_back_has_an_unknown_outcome(tmp_path: Path) -> None:
    with Recorder(tmp_path / "recording.jsonl") as recorder:
        recorder.invoke(UPDATE)
        (attempt,) = recorder.attempts()
    assert (attempt.answer.verdict, attempt.returned) == (Verdict.UNKNOWN, NEVER)
