"""Files of a teacher's logits, keyed by the ids of the clips."""
