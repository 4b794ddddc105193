"""The only app of the project with add-ons."""
