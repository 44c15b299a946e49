"""VisualQuality-R1: reasoned scores that are sampled several times, compared by Thurstone's model, trained to rank."""
