"""Alerts: who has to know of what, how soon, and what happens when nobody says that they do."""
