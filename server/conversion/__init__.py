"""Messages of the contract as domain objects, and back. Pure functions; they raise InvalidValue."""
