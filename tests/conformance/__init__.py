"""One suite for every deliverer, in a network of its own where every address is a trap."""
