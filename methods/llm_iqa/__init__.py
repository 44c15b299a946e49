"""LLM-IQA: a standard for the model to follow, and scores of segments beside the score of the whole image."""
