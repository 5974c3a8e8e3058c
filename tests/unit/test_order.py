"""Workers take up files in an order that knows every folder of tests."""

from tests.kit.order import HERE, LONGEST_FIRST


def test_every_folder_of_tests_has_its_place_in_the_order() -> None:
    folders = {file.relative_to(HERE).parts[0] for file in HERE.rglob("test_*.py")}
    assert sorted(LONGEST_FIRST) == sorted(folders)
