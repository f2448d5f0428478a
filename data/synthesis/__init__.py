"""Synthesis of the embedded data sets: sound sources, the street and its annotators, ten scenes."""
