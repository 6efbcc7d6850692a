"""Messages of the prover network. ``make protos`` generates the modules from the ``.proto`` files beside them."""
