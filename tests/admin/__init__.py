"""The admin in a browser, and with tables as long as they get."""
