"""Words: samples, segments and tokens with their channels. No torch here."""
