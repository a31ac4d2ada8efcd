"""Imports, exports and changes of any number of contacts through bulk activities."""
