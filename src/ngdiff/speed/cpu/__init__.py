"""Savings that help on CPUs only."""
