"""The LMM behind an OpenAI-compatible server (vLLM and its like): requests, answers, and candidates' logits."""
