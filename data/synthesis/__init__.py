"""The embedded data sets, synthesised: sources, the street and its volunteers, ten scenes."""
