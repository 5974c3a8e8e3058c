"""What commands print: values, and rows of them as a table, as JSON or as CSV."""
