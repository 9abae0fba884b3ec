"""Networks: definitions in torch, weights, and what runs them."""
