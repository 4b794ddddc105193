"""What must work in a project that installed the wheel; uses nothing else of this checkout."""
