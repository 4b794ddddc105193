"""An app whose receivers write down what they hear, and then fail."""
