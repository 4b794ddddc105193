"""The example project: settings, addresses, databases."""
