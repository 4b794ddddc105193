"""A project with ours and with add-ons made for django-q2, which are installed without it."""
