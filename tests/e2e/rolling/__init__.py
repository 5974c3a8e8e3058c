"""A change of the schema, as four builds of Featom would make it. Never in the product.

The state of an aggregate moves from the column `state` to a new one, `vector`:

    build    writes          reads
    first    state           state     the product as it is, which knows nothing of all this
    second   state, vector   state
    third    state, vector   vector
    fourth   vector          vector

Each build can run beside the one before and the one after. `versions` are the migrations
that each brings with it: the new column, that it is filled, the end of the old one.
"""
