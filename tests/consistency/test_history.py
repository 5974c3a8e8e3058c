"""The order of the changes that a database kept, and since when each was known."""

from tests.consistency.checker import check
from tests.consistency.history import History, in_order
from tests.consistency.scenario import Story


def read_back(story: Story) -> History:
    """The history as it is read from a database, where the numbers of transactions order it."""
    entries = {
        key: in_order(
            sorted(entries, key=lambda entry: entry.transaction),
            story.history.aggregates[key].uid if key in story.history.aggregates else "",
        )
        for key, entries in story.history.entries.items()
    }
    return story.history._replace(entries=entries)


def overtaken() -> Story:
    """An aggregate is made by one who has begun before it was deleted."""
    story = Story()
    story.update("1", "a")
    story.update("2", "a", overtaken_by="3")
    return story


def test_who_makes_an_aggregate_comes_after_the_deletion_that_overtook_it() -> None:
    story = overtaken()
    numbers = [entry.transaction for entry in story.history.entries["a"]]
    assert numbers != sorted(numbers)
    assert read_back(story) == story.history
    story.read("4", "a")
    assert check(story.attempts, read_back(story)).violations == {}


def test_so_it_does_if_it_is_deleted_too() -> None:
    story = overtaken()
    story.update("4", "a")
    story.delete("5", "a")
    assert read_back(story) == story.history
    assert check(story.attempts, read_back(story)).violations == {}


def test_two_incarnations_at_once_are_found_whichever_is_left() -> None:
    for left in (0, 1):
        story = Story()
        stored = story.history.aggregates
        story.update("1", "a")
        incarnations = [stored.pop("a")]
        story.update("2", "a")
        incarnations.append(stored["a"])
        stored["a"] = incarnations[0]
        story.update("3", "a")
        stored["a"] = incarnations[left]
        assert "versions_are_dense" in check(story.attempts, read_back(story)).violations


def test_an_aggregate_that_was_made_while_another_one_stood_is_found_though_that_is_deleted() -> (
    None
):
    """By the deletion: it was asked for when the second was known, and comes before it."""
    story = Story()
    stored = story.history.aggregates
    story.update("1", "a")
    first = stored.pop("a")
    story.update("2", "a")
    second = stored["a"]
    stored["a"] = first
    story.delete("3", "a")
    stored["a"] = second
    assert "real_time_order_holds" in check(story.attempts, read_back(story)).violations


def test_what_is_applied_again_after_an_erasure_is_known_from_then_on() -> None:
    """And not since it was acknowledged at first."""
    story = Story()
    story.update("1", "a")
    story.update("2", "a")
    story.delete("3", "a", erase=True)
    story.read("4", "a")
    story.apply_again("2")
    # The erasure began before the update that it erased was acknowledged.
    erasure = next(each for each in story.attempts if each.request.operation == "3")
    story.attempts[story.attempts.index(erasure)] = erasure._replace(invoked=1)
    assert check(story.attempts, story.history).violations == {}
