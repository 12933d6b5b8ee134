"""Pictures with one word about an element each: from a table, or drawn."""
