"""`python -m tests.consistency.broken_server` is the `featom` command with a broken repository.

It is composed as the product is, by the product's own composition root.
"""

from cli.main import app
from server import main
from tests.consistency.broken.statement_per_feature import StatementPerFeature

if __name__ == "__main__":
    main.PostgresRepository = StatementPerFeature  # type: ignore[attr-defined]
    app(prog_name="featom")
