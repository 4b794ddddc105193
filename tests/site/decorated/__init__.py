"""An app of the test project whose tasks say beside them how they are sent, and when."""
