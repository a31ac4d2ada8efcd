"""What people want of bulk activities: imports, exports and changes of any number of contacts."""
