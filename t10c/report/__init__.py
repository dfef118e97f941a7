"""Results as text and JSON: each module turns one kind of value into lines and a document."""
