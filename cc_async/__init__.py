"""An asyncio-native client for the contacts of the Constant Contact V3 API."""
