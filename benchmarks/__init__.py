"""Figures as ratios: every contender does the same work on the same bytes, in the same run, in a process of its own."""
