"""The models: what the API answers (`contact`) and what it accepts (`requests`)."""
