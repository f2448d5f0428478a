"""The synthesiser of street_sounds, the embedded data set: sources, street, volunteers, files."""
