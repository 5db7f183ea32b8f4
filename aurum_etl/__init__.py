"""Electricity-market data of six operators, in one shape: a chunk becomes a canonical frame, becomes a receipt."""
