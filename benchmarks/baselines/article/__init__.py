"""The design of the article that Featom comes from, built twice.

As the article builds it, with objects that a mapper keeps (`mapped`), and in the SQL of somebody
who wants it as fast as it goes (`handwritten`). Both have a row per feature, one SERIALIZABLE
transaction a request, the version check on xmin of the aggregate's row, and a caller who tries
again when it conflicts. Neither keeps history or knows request ids, which is in their favour.
"""
