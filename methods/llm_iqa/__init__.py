"""LLM-IQA: a standard for the model to follow, and scores of regions beside the score of the whole image."""
