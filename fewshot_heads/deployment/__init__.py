"""Networks and test data for programs without Python or torch."""

CONTRACT = "contract.json"  # in every export; named here, where a command can read it before it imports torch
